# Completion of arbiter for bash. Generated from the command description; do not edit.

# Offers words that begin with what has been typed; prefix stands before every one of them.
_arbiter_words() {
  local prefix=$1 typed=$2 word
  shift 2
  for word in "$@"; do
    [[ $word == "$typed"* ]] && COMPREPLY+=("$prefix$word")
  done
  if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *= ]]; then
    compopt -o nospace 2>/dev/null
  fi
  return 0
}

# Offers files (-f), directories (-d) or commands (-c).
_arbiter_paths() {
  local path
  while IFS= read -r path; do
    COMPREPLY+=("$2$path")
  done < <(compgen "$1" -- "$3")
  [[ -n $2 ]] || compopt -o filenames 2>/dev/null
  return 0
}

# Offers another element of a comma-separated list.
_arbiter_list() {
  local prefix=$1 typed=$2
  shift 2
  if [[ $typed == *,* ]]; then
    _arbiter_words "$prefix${typed%,*}," "${typed##*,}" "$@"
  else
    _arbiter_words "$prefix" "$typed" "$@"
  fi
  compopt -o nospace 2>/dev/null
  return 0
}

_arbiter() {
  local current=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]-}
  local option=${COMP_WORDS[COMP_CWORD - 1]-} prefix= index
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    _arbiter_words '' "$current" compare simulate fidelity sensitivity measure account top heat export record trace run tier bench doctor explain completions version help --help
    return
  fi
  for ((index = 2; index < COMP_CWORD; index++)); do
    [[ ${COMP_WORDS[index]} == -- ]] || continue
    case $verb in
      account | heat | record | run | tier)
        if ((index == COMP_CWORD - 1)); then
          _arbiter_paths -c '' "$current"
        else
          _arbiter_paths -f '' "$current"
        fi
        return
        ;;
    esac
    break
  done
  if [[ $current == = ]]; then
    current=
  elif [[ $option == = ]] && ((COMP_CWORD > 2)); then
    option=${COMP_WORDS[COMP_CWORD - 2]}
  elif [[ $current == --*=* ]]; then
    option=${current%%=*} prefix=${current%%=*}= current=${current#*=}
  fi
  if ((index >= COMP_CWORD)); then
    case $verb:$option in
      compare:--profile)
        _arbiter_words "$prefix" "$current" optane-100-256g optane-100-256g-12w5 optane-100-256g-18w optane-100-256g-perma optane-100-128g optane-100-256g-remote optane-200-256g cxl-cached-4k
        return
        ;;
      compare:--scheme)
        _arbiter_list "$prefix" "$current" baseline lock delegation fence arbiter arbiter-paper
        return
        ;;
      compare:--from)
        _arbiter_words "$prefix" "$current" clean saturated
        return
        ;;
      compare:--report)
        _arbiter_paths -d "$prefix" "$current"
        return
        ;;
      compare:--fidelity)
        _arbiter_words "$prefix" "$current" brief whole none
        return
        ;;
      compare:--format)
        _arbiter_words "$prefix" "$current" text json csv
        return
        ;;
      compare:--output | compare:-o)
        _arbiter_paths -f "$prefix" "$current"
        return
        ;;
      compare:--color)
        _arbiter_words "$prefix" "$current" auto always never
        return
        ;;
      simulate:--profile)
        _arbiter_words "$prefix" "$current" optane-100-256g optane-100-256g-12w5 optane-100-256g-18w optane-100-256g-perma optane-100-128g optane-100-256g-remote optane-200-256g cxl-cached-4k
        return
        ;;
      simulate:--vary)
        _arbiter_words "$prefix" "$current" physical_cores= store_window_lines= clwb_window_lines= load_window_lines= store_issue_ns= clwb_issue_ns= load_issue_ns= store_return_ns= clwb_return_ns= ownership_ns= fence_ns= load_return_ns= cache_lines_per_thread= core_jitter_ratio= shared_queue_modules= shared_queue_lines= wpq_lines= rpq_lines= load_turn_lines= load_jump_ratio= link_ns= socket_link_ns= interleave_bytes= buffer_blocks= victim_candidates= eager_full_blocks= eviction_queue_blocks= sweep_ns= wear_threshold_writes= wear_forget_ns= wear_block_bytes= wear_stall_ns= page_cache_pages= page_cache_ways= page_fills= media_units= media_write_ns= media_read_ns= rmw_charge_ratio= media_jitter_ratio= read_buffer_blocks= media_turn_blocks= translation_blocks= translation_ways= translation_read_ns= translation_write_ns= idle_media_writes_per_second= stall_period_ns= stall_ns=
        return
        ;;
      simulate:--from)
        _arbiter_words "$prefix" "$current" clean saturated
        return
        ;;
      simulate:--pattern)
        _arbiter_words "$prefix" "$current" sequential random halves halves-back chain
        return
        ;;
      simulate:--store)
        _arbiter_words "$prefix" "$current" nt clwb plain
        return
        ;;
      simulate:--trace)
        _arbiter_paths -f "$prefix" "$current"
        return
        ;;
      simulate:--starts)
        _arbiter_words "$prefix" "$current" together recorded
        return
        ;;
      simulate:--record)
        _arbiter_paths -f "$prefix" "$current"
        return
        ;;
      simulate:--tiers)
        _arbiter_list "$prefix" "$current" clustered scattered moving streaming phases uniform zipf all
        return
        ;;
      simulate:--policies)
        _arbiter_list "$prefix" "$current" first-touch arbiter hemem-paper hemem-release scan memory-mode oracle
        return
        ;;
      simulate:--mechanism)
        _arbiter_words "$prefix" "$current" own arbiter
        return
        ;;
      simulate:--scheme)
        _arbiter_list "$prefix" "$current" baseline lock delegation fence arbiter arbiter-paper
        return
        ;;
      simulate:--delay-at)
        _arbiter_words "$prefix" "$current" access block
        return
        ;;
      simulate:--report)
        _arbiter_paths -d "$prefix" "$current"
        return
        ;;
      simulate:--format)
        _arbiter_words "$prefix" "$current" text json csv
        return
        ;;
      simulate:--output | simulate:-o)
        _arbiter_paths -f "$prefix" "$current"
        return
        ;;
      simulate:--color)
        _arbiter_words "$prefix" "$current" auto always never
        return
        ;;
      fidelity:--target)
        _arbiter_list "$prefix" "$current" 1 2 3 4 6 7 8 9 10 11 12 13 15 16 17 19 31 32 33 34 35 36 37 38 61 62 63 64 65 66 67 68 69 70 71 72 73 81 82 83 84 85 86 87 88 89
        return
        ;;
      fidelity:--profile)
        _arbiter_words "$prefix" "$current" optane-100-256g optane-100-256g-12w5 optane-100-256g-18w optane-100-256g-perma optane-100-128g optane-100-256g-remote optane-200-256g cxl-cached-4k
        return
        ;;
      fidelity:--report)
        _arbiter_paths -d "$prefix" "$current"
        return
        ;;
      fidelity:--format)
        _arbiter_words "$prefix" "$current" text json csv
        return
        ;;
      fidelity:--output | fidelity:-o)
        _arbiter_paths -f "$prefix" "$current"
        return
        ;;
      fidelity:--color)
        _arbiter_words "$prefix" "$current" auto always never
        return
        ;;
      sensitivity:--profile)
        _arbiter_words "$prefix" "$current" optane-100-256g optane-100-256g-12w5 optane-100-256g-18w optane-100-256g-perma optane-100-128g optane-100-256g-remote optane-200-256g cxl-cached-4k
        return
        ;;
      sensitivity:--parameter)
        _arbiter_list "$prefix" "$current" physical_cores store_window_lines clwb_window_lines load_window_lines store_issue_ns clwb_issue_ns load_issue_ns store_return_ns clwb_return_ns ownership_ns fence_ns load_return_ns cache_lines_per_thread core_jitter_ratio shared_queue_modules shared_queue_lines wpq_lines rpq_lines load_turn_lines load_jump_ratio link_ns socket_link_ns interleave_bytes buffer_blocks victim_candidates eager_full_blocks eviction_queue_blocks sweep_ns wear_threshold_writes wear_forget_ns wear_block_bytes wear_stall_ns page_cache_pages page_cache_ways page_fills media_units media_write_ns media_read_ns rmw_charge_ratio media_jitter_ratio read_buffer_blocks media_turn_blocks translation_blocks translation_ways translation_read_ns translation_write_ns idle_media_writes_per_second stall_period_ns stall_ns
        return
        ;;
      sensitivity:--report)
        _arbiter_paths -d "$prefix" "$current"
        return
        ;;
      sensitivity:--format)
        _arbiter_words "$prefix" "$current" text json csv
        return
        ;;
      sensitivity:--output | sensitivity:-o)
        _arbiter_paths -f "$prefix" "$current"
        return
        ;;
      sensitivity:--color)
        _arbiter_words "$prefix" "$current" auto always never
        return
        ;;
      measure:--profile)
        _arbiter_words "$prefix" "$current" optane-100-256g optane-100-256g-12w5 optane-100-256g-18w optane-100-256g-perma optane-100-128g optane-100-256g-remote optane-200-256g cxl-cached-4k
        return
        ;;
      measure:--only)
        _arbiter_list "$prefix" "$current" latency bandwidth files
        return
        ;;
      measure:--report)
        _arbiter_paths -d "$prefix" "$current"
        return
        ;;
      measure:--format)
        _arbiter_words "$prefix" "$current" text json csv
        return
        ;;
      measure:--output | measure:-o)
        _arbiter_paths -f "$prefix" "$current"
        return
        ;;
      measure:--color)
        _arbiter_words "$prefix" "$current" auto always never
        return
        ;;
      account:--back-end)
        _arbiter_words "$prefix" "$current" auto pebs timer faults gates
        return
        ;;
      account:--by)
        _arbiter_words "$prefix" "$current" process thread
        return
        ;;
      account:--files)
        _arbiter_paths -d "$prefix" "$current"
        return
        ;;
      account:--format)
        _arbiter_words "$prefix" "$current" text json csv
        return
        ;;
      account:--output | account:-o)
        _arbiter_paths -f "$prefix" "$current"
        return
        ;;
      account:--color)
        _arbiter_words "$prefix" "$current" auto always never
        return
        ;;
      top:--back-end)
        _arbiter_words "$prefix" "$current" auto pebs timer none
        return
        ;;
      top:--sort)
        _arbiter_words "$prefix" "$current" written total cpu delay mapped process command
        return
        ;;
      top:--format)
        _arbiter_words "$prefix" "$current" text json csv
        return
        ;;
      top:--color)
        _arbiter_words "$prefix" "$current" auto always never
        return
        ;;
      heat:--trace)
        _arbiter_paths -f "$prefix" "$current"
        return
        ;;
      heat:--back-end)
        _arbiter_words "$prefix" "$current" auto pebs timer faults
        return
        ;;
      heat:--format)
        _arbiter_words "$prefix" "$current" text json csv
        return
        ;;
      heat:--output | heat:-o)
        _arbiter_paths -f "$prefix" "$current"
        return
        ;;
      heat:--color)
        _arbiter_words "$prefix" "$current" auto always never
        return
        ;;
      export:--textfile)
        _arbiter_paths -f "$prefix" "$current"
        return
        ;;
      export:--back-end)
        _arbiter_words "$prefix" "$current" auto pebs timer none
        return
        ;;
      record:--output | record:-o)
        _arbiter_paths -f "$prefix" "$current"
        return
        ;;
      record:--format)
        _arbiter_words "$prefix" "$current" text json csv
        return
        ;;
      trace:--from)
        _arbiter_words "$prefix" "$current" arbiter vans lackey
        return
        ;;
      trace:--to)
        _arbiter_words "$prefix" "$current" arbiter vans lackey
        return
        ;;
      trace:--interleave)
        _arbiter_words "$prefix" "$current" time round-robin random
        return
        ;;
      trace:--format)
        _arbiter_words "$prefix" "$current" text json csv
        return
        ;;
      trace:--output | trace:-o)
        _arbiter_paths -f "$prefix" "$current"
        return
        ;;
      trace:--color)
        _arbiter_words "$prefix" "$current" auto always never
        return
        ;;
      run:--scheme)
        _arbiter_words "$prefix" "$current" baseline lock delegation fence arbiter arbiter-paper
        return
        ;;
      run:--profile)
        _arbiter_words "$prefix" "$current" optane-100-256g optane-100-256g-12w5 optane-100-256g-18w optane-100-256g-perma optane-100-128g optane-100-256g-remote optane-200-256g cxl-cached-4k auto
        return
        ;;
      run:--format)
        _arbiter_words "$prefix" "$current" text json csv
        return
        ;;
      run:--output | run:-o)
        _arbiter_paths -f "$prefix" "$current"
        return
        ;;
      tier:--profile)
        _arbiter_words "$prefix" "$current" dram cxl persistent disk optane-100-256g optane-100-256g-12w5 optane-100-256g-18w optane-100-256g-perma optane-100-128g optane-100-256g-remote optane-200-256g cxl-cached-4k
        return
        ;;
      tier:--policy)
        _arbiter_words "$prefix" "$current" arbiter hemem-paper hemem-release first-touch random
        return
        ;;
      tier:--back-end)
        _arbiter_words "$prefix" "$current" auto numa file
        return
        ;;
      tier:--tracker)
        _arbiter_words "$prefix" "$current" auto pebs timer
        return
        ;;
      tier:--format)
        _arbiter_words "$prefix" "$current" text json csv
        return
        ;;
      tier:--output | tier:-o)
        _arbiter_paths -f "$prefix" "$current"
        return
        ;;
      tier:--record)
        _arbiter_paths -f "$prefix" "$current"
        return
        ;;
      tier:--heat)
        _arbiter_paths -f "$prefix" "$current"
        return
        ;;
      tier:--metrics)
        _arbiter_paths -f "$prefix" "$current"
        return
        ;;
      bench:--file)
        _arbiter_paths -f "$prefix" "$current"
        return
        ;;
      bench:--pattern)
        _arbiter_words "$prefix" "$current" sequential random
        return
        ;;
      bench:--store)
        _arbiter_words "$prefix" "$current" nt clwb
        return
        ;;
      bench:--scheme)
        _arbiter_list "$prefix" "$current" baseline lock delegation fence arbiter arbiter-paper
        return
        ;;
      bench:--delay-at)
        _arbiter_words "$prefix" "$current" access block
        return
        ;;
      bench:--format)
        _arbiter_words "$prefix" "$current" text json csv
        return
        ;;
      bench:--output | bench:-o)
        _arbiter_paths -f "$prefix" "$current"
        return
        ;;
      bench:--color)
        _arbiter_words "$prefix" "$current" auto always never
        return
        ;;
      doctor:--format)
        _arbiter_words "$prefix" "$current" text json
        return
        ;;
      doctor:--color)
        _arbiter_words "$prefix" "$current" auto always never
        return
        ;;
      compare:--threads | compare:--access | compare:--duration | compare:--seed | simulate:--modules | simulate:--threads | simulate:--access | simulate:--fence-every | simulate:--region | simulate:--read-share | simulate:--think | simulate:--think-scale | simulate:--fast | simulate:--footprint | simulate:--hot | simulate:--spare | simulate:--runs | simulate:--delay | simulate:--period | simulate:--max-delay | simulate:--warm-up | simulate:--duration | simulate:--seed | fidelity:--seed | fidelity:--seeds | sensitivity:--draws | sensitivity:--seed | measure:--modules | measure:--size | measure:--threads | measure:--sizes | measure:--read-share | measure:--repeat | measure:--duration | measure:--seed | account:--process | account:-p | account:--period | account:--duration | account:--interval | account:--rows | top:--interval | top:--process | top:-p | top:--count | heat:--process | heat:-p | heat:--period | heat:--duration | heat:--mappings | export:--listen | export:--interval | export:--tasks | export:--process | export:-p | trace:--thread | trace:--limit | trace:--seed | trace:--range | trace:--instruction-time | run:--permits | run:--workers | run:--period | run:--max-delay | run:--threads | tier:--fast | tier:--slow | tier:--slow-size | tier:--seed | bench:--size | bench:--threads | bench:--access | bench:--fence-every | bench:--delay | bench:--period | bench:--max-delay | bench:--permits | bench:--workers | bench:--duration | bench:--seed) return ;;
    esac
    if [[ $current == -* ]]; then
      case $verb in
        compare) _arbiter_words '' "$current" --profile= --threads= --scheme= --access= --from= --duration= --seed= --report= --fidelity= --format= --output= --color= --quiet --help ;;
        simulate) _arbiter_words '' "$current" --profile= --modules= --vary= --from= --threads= --pattern= --store= --access= --fence-every= --region= --read-share= --think= --trace= --think-scale= --starts= --record= --tiers= --fast= --footprint= --hot= --policies= --mechanism= --spare= --runs= --scheme= --delay= --delay-at= --period= --max-delay= --warm-up= --duration= --seed= --dry-run --report= --format= --output= --color= --quiet --help ;;
        fidelity) _arbiter_words '' "$current" --target= --profile= --seed= --seeds= --report= --format= --output= --color= --quiet --help ;;
        sensitivity) _arbiter_words '' "$current" --profile= --parameter= --draws= --seed= --report= --format= --output= --color= --quiet --help ;;
        measure) _arbiter_words '' "$current" --profile= --modules= --size= --overwrite --read-only --only= --threads= --sizes= --read-share= --repeat= --duration= --quick --forget --seed= --report= --format= --output= --color= --quiet --help ;;
        account) _arbiter_words '' "$current" --process= --all --every-process --back-end= --period= --duration= --by= --files= --interval= --rows= --format= --output= --color= --quiet --help ;;
        top) _arbiter_words '' "$current" --interval= --process= --every-process --back-end= --sort= --batch --count= --format= --color= --quiet --help ;;
        heat) _arbiter_words '' "$current" --trace= --process= --back-end= --period= --duration= --mappings= --stores-only --loads-only --format= --output= --color= --quiet --help ;;
        export) _arbiter_words '' "$current" --listen= --textfile= --once --interval= --tasks= --process= --back-end= --quiet --help ;;
        record) _arbiter_words '' "$current" --output= --no-preload --format= --quiet --help ;;
        trace) _arbiter_words '' "$current" --thread= --limit= --from= --to= --interleave= --seed= --range= --instruction-time= --format= --output= --color= --quiet --help ;;
        run) _arbiter_words '' "$current" --scheme= --profile= --permits= --workers= --period= --max-delay= --shared --private --strict --format= --output= --threads= --quiet --help ;;
        tier) _arbiter_words '' "$current" --fast= --slow= --slow-size= --profile= --huge-pages --no-heaps --policy= --back-end= --tracker= --seed= --strict --format= --output= --record= --heat= --metrics= --quiet --help ;;
        bench) _arbiter_words '' "$current" --file= --size= --overwrite --keep --threads= --pattern= --store= --access= --fence-every= --scheme= --delay= --delay-at= --period= --max-delay= --permits= --workers= --duration= --verify --seed= --format= --output= --color= --quiet --help ;;
        doctor) _arbiter_words '' "$current" --format= --color= --help ;;
        explain) _arbiter_words '' "$current" --help ;;
        completions) _arbiter_words '' "$current" --help ;;
        version) _arbiter_words '' "$current" --help ;;
      esac
      return
    fi
  fi
  case $verb in
    measure) _arbiter_paths -f "$prefix" "$current" ;;
    trace) _arbiter_paths -f "$prefix" "$current" ;;
    explain) _arbiter_words "$prefix" "$current" scheme threads modules profile pattern access_bytes program_write_bytes effective_bandwidth_bytes_per_second media_write_bytes_per_second media_read_bytes_per_second imc_read_bytes_per_second equivalent_write_bytes_per_second write_amplification_ratio read_amplification_ratio cache_amplification_ratio latency_ns_p50 latency_ns_p99 latency_ns_p999 latency_ns_max delay_ns_mean cpu_seconds_per_gib fairness_ratio requests_count simulated_seconds counter_source replay_recorded_threads replay_cloned_threads replay_events_count replay_lost_events_count replay_outside_accesses_count replay_is_complete scheme_reason writer_limit writer_limit_origin writer_limit_reason is_gated controller_process process exit_code exit_signal wall_seconds cpu_seconds outliving_gates gates stores_count calls_count delay_ns_p99 fences_count stale_count direct_count copy_calls_count copy_bytes set_calls_count set_bytes flush_calls_count flush_bytes drain_calls_count persist_calls_count persist_bytes msync_calls_count msync_bytes deep_calls_count deep_bytes monitor_cpu_seconds set counter_reason delay_ns_now controller_phase thread name file file_bytes recorded_threads events_count accesses_count accessed_bytes lost_count refused_threads outliving_threads removed_seconds recorder_seconds failure subject source source_reason measure unit weight unmapped_weight others_weight others_count refused_count start_ns column_ns columns_count samples_count resolved_ratio lost_samples_count throttled_count lost_events_count base_address size_bytes entries_count weight_ratio store_weight load_weight first_ns last_ns extent_bytes touched_bytes bin_bytes hottest_offset_bytes hottest_ratio hottest_tenth_ratio back_end resolved_count resolved_share throttle_count folded_count start_ticks has_ended task_resolved_count task_unresolved_count task_unresolved mapping mapping_kind mapping_region mapping_device mapping_inode mapping_start mapping_bytes row_samples_count share written_bytes written_bytes_error read_bytes read_bytes_error store_cost_ns store_cost_ns_error load_cost_ns load_cost_ns_error kernel_copies_bytes measured kind region_bytes read_share repetitions measured_seconds bandwidth_bytes_per_second bandwidth_bytes_per_second_min bandwidth_bytes_per_second_max latency_ns_mean latency_ns_p50_min latency_ns_p50_max latency_ns_p90 latency_samples_count cpu_seconds_per_gib_process cpu_seconds_per_gib_system cpu_seconds_per_gib_system_error stolen_seconds target clock_ns_subtracted clock_ns_subtracted_with_fence memory_bytes is_model calibrations calibration_file curve files arm work warnings stolen_share allows_turbo frequency_governors unavailable interval_seconds cpu_busy_ratio cpu_steal_ratio device imc_write_bytes imc_read_bytes media_write_bytes media_read_bytes imc_write_bytes_per_second command mapped_bytes write_bytes_per_second write_bytes_per_second_error store_cost_ns_per_second store_cost_ns_per_second_error share_ratio delayed_ns delay_ratio cpu_ratio sampled_memory is_tiered policy tracker sampling_period_ns time_seconds managed_processes fast_capacity_bytes fast_bytes slow_bytes metadata_bytes metadata_ratio fast_hit_ratio fast_hit_ratio_error recent_fast_hit_ratio recent_fast_hit_ratio_error managed_samples_count promotions_count demotions_count promoted_bytes demoted_bytes stale_migrations_count busy_migrations_count full_migrations_count failed_migrations_count stalls_count stall_ns_sum stall_ns_max tracker_cpu_seconds tracker_cpu_ratio mover_cpu_seconds placing_cpu_seconds session_process program seed is_complete run_seconds time_first_touch_ratio time_oracle_ratio slow_write_bytes migrations_count stall_seconds policy_samples_count stream clock median least most course physical_cores store_window_lines clwb_window_lines load_window_lines store_issue_ns clwb_issue_ns load_issue_ns store_return_ns clwb_return_ns ownership_ns fence_ns load_return_ns cache_lines_per_thread core_jitter_ratio shared_queue_modules shared_queue_lines wpq_lines rpq_lines load_turn_lines load_jump_ratio link_ns socket_link_ns interleave_bytes buffer_blocks victim_candidates eager_full_blocks eviction_queue_blocks sweep_ns wear_threshold_writes wear_forget_ns wear_block_bytes wear_stall_ns page_cache_pages page_cache_ways page_fills media_units media_write_ns media_read_ns rmw_charge_ratio media_jitter_ratio read_buffer_blocks media_turn_blocks translation_blocks translation_ways translation_read_ns translation_write_ns idle_media_writes_per_second stall_period_ns stall_ns optane-100-256g optane-100-256g-12w5 optane-100-256g-18w optane-100-256g-perma optane-100-128g optane-100-256g-remote optane-200-256g cxl-cached-4k ;;
    completions) _arbiter_words "$prefix" "$current" bash zsh fish ;;
    help) _arbiter_words '' "$current" compare simulate fidelity sensitivity measure account top heat export record trace run tier bench doctor explain completions version ;;
  esac
}

complete -F _arbiter arbiter
