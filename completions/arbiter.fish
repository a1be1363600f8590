# Completion of arbiter for fish. Generated from the command description; do not edit.

function __arbiter_needs_verb
    test (count (commandline -opc)) -eq 1
end

function __arbiter_has_verb
    set -l words (commandline -opc)
    test (count $words) -gt 1; and test "$words[2]" = $argv[1]
end

complete -c arbiter -f
complete -c arbiter -n '__arbiter_needs_verb' -s h -l help -d 'Print help'
complete -c arbiter -n '__arbiter_needs_verb' -a compare -d 'Compare the schemes over thread counts and draw the paper\'s figures'
complete -c arbiter -n '__arbiter_needs_verb' -a simulate -d 'Run writers on a modelled module, in virtual time'
complete -c arbiter -n '__arbiter_needs_verb' -a bench -d 'Run real writers on really mapped memory, in real time'
complete -c arbiter -n '__arbiter_needs_verb' -a doctor -d 'Say what this machine has for slow memory, and what follows'
complete -c arbiter -n '__arbiter_needs_verb' -a explain -d 'Say what a figure means, or where a profile\'s numbers come from'
complete -c arbiter -n '__arbiter_needs_verb' -a completions -d 'Print the completion script of a shell'
complete -c arbiter -n '__arbiter_needs_verb' -a version -d 'Print the version of the tool and of its formats'
complete -c arbiter -n '__arbiter_needs_verb' -a help -d 'Explain a verb'
complete -c arbiter -n '__arbiter_has_verb help' -a 'compare simulate bench doctor explain completions version'

complete -c arbiter -n '__arbiter_has_verb compare' -l profile -r -f -a 'optane-100-256g optane-100-256g-perma optane-100-128g' -d 'Kind of module'
complete -c arbiter -n '__arbiter_has_verb compare' -l threads -r -f -d 'Numbers of threads'
complete -c arbiter -n '__arbiter_has_verb compare' -l scheme -r -f -a '(__fish_append , baseline lock delegation fence arbiter arbiter-paper)' -d 'Schemes that are compared'
complete -c arbiter -n '__arbiter_has_verb compare' -l access -r -f -d 'Size of each store'
complete -c arbiter -n '__arbiter_has_verb compare' -l from -r -f -a 'clean saturated' -d 'State of the module when the scheme takes over'
complete -c arbiter -n '__arbiter_has_verb compare' -l duration -r -f -d 'Virtual time of each measurement'
complete -c arbiter -n '__arbiter_has_verb compare' -l seed -r -f -d 'Source of all randomness'
complete -c arbiter -n '__arbiter_has_verb compare' -l report -r -f -a '(__fish_complete_directories)' -d 'Folder for the page, the plots and their data; none writes no report'
complete -c arbiter -n '__arbiter_has_verb compare' -l format -r -f -a 'text json csv' -d 'Form of the results: a table, JSON or CSV'
complete -c arbiter -n '__arbiter_has_verb compare' -s o -l output -r -F -d 'File for the results instead of standard output; replaced when they are complete'
complete -c arbiter -n '__arbiter_has_verb compare' -l color -r -f -a 'auto always never' -d 'Whether text is coloured; NO_COLOR is respected'
complete -c arbiter -n '__arbiter_has_verb compare' -s q -l quiet -d 'No progress and no remarks on standard error'
complete -c arbiter -n '__arbiter_has_verb compare' -s h -l help -d 'Print help'

complete -c arbiter -n '__arbiter_has_verb simulate' -l profile -r -f -a 'optane-100-256g optane-100-256g-perma optane-100-128g' -d 'Kind of module'
complete -c arbiter -n '__arbiter_has_verb simulate' -l modules -r -f -d 'Modules of the interleave set, 1 to 12'
complete -c arbiter -n '__arbiter_has_verb simulate' -l from -r -f -a 'clean saturated' -d 'State of the module when the scheme takes over'
complete -c arbiter -n '__arbiter_has_verb simulate' -l threads -r -f -d 'Numbers of threads, each a run'
complete -c arbiter -n '__arbiter_has_verb simulate' -l pattern -r -f -a 'sequential random halves' -d 'Order of each thread\'s addresses'
complete -c arbiter -n '__arbiter_has_verb simulate' -l store -r -f -a 'nt clwb plain' -d 'Non-temporal stores, stores with clwb, or plain stores'
complete -c arbiter -n '__arbiter_has_verb simulate' -l access -r -f -d 'Size of each access'
complete -c arbiter -n '__arbiter_has_verb simulate' -l fence-every -r -f -d 'Bytes between two store fences'
complete -c arbiter -n '__arbiter_has_verb simulate' -l region -r -f -d 'Size of the region that each thread has to itself'
complete -c arbiter -n '__arbiter_has_verb simulate' -l read-share -r -f -d 'Share of the accesses that are loads'
complete -c arbiter -n '__arbiter_has_verb simulate' -l think -r -f -d 'Time of its own that a thread spends after each access'
complete -c arbiter -n '__arbiter_has_verb simulate' -l scheme -r -f -a '(__fish_append , baseline lock delegation fence arbiter arbiter-paper)' -d 'How writers are admitted; each is a run'
complete -c arbiter -n '__arbiter_has_verb simulate' -l delay -r -f -d 'Fixed delay before accesses; goes with the schemes baseline and fence'
complete -c arbiter -n '__arbiter_has_verb simulate' -l delay-at -r -f -a 'access block' -d 'Where the fixed delay falls due'
complete -c arbiter -n '__arbiter_has_verb simulate' -l period -r -f -d 'How often a controller looks at the counters'
complete -c arbiter -n '__arbiter_has_verb simulate' -l max-delay -r -f -d 'Longest delay of any access'
complete -c arbiter -n '__arbiter_has_verb simulate' -l warm-up -r -f -d 'Virtual time before the measurement; by default 12 periods'
complete -c arbiter -n '__arbiter_has_verb simulate' -l duration -r -f -d 'Virtual time of the measurement'
complete -c arbiter -n '__arbiter_has_verb simulate' -l seed -r -f -d 'Source of all randomness'
complete -c arbiter -n '__arbiter_has_verb simulate' -l dry-run -d 'Print the command line of every run, with all options, and run nothing'
complete -c arbiter -n '__arbiter_has_verb simulate' -l format -r -f -a 'text json csv' -d 'Form of the results: a table, JSON or CSV'
complete -c arbiter -n '__arbiter_has_verb simulate' -s o -l output -r -F -d 'File for the results instead of standard output; replaced when they are complete'
complete -c arbiter -n '__arbiter_has_verb simulate' -l color -r -f -a 'auto always never' -d 'Whether text is coloured; NO_COLOR is respected'
complete -c arbiter -n '__arbiter_has_verb simulate' -s q -l quiet -d 'No progress and no remarks on standard error'
complete -c arbiter -n '__arbiter_has_verb simulate' -s h -l help -d 'Print help'

complete -c arbiter -n '__arbiter_has_verb bench' -l file -r -F -d 'File to map: on tmpfs, a disk or a DAX file system; made where there is none'
complete -c arbiter -n '__arbiter_has_verb bench' -l size -r -f -d 'Bytes of the file that are mapped and written'
complete -c arbiter -n '__arbiter_has_verb bench' -l overwrite -d 'Write over a file that holds something already, or over a device'
complete -c arbiter -n '__arbiter_has_verb bench' -l keep -d 'Keep a file that this run has made'
complete -c arbiter -n '__arbiter_has_verb bench' -l threads -r -f -d 'Numbers of threads, each a run'
complete -c arbiter -n '__arbiter_has_verb bench' -l pattern -r -f -a 'sequential random' -d 'Order of each thread\'s addresses'
complete -c arbiter -n '__arbiter_has_verb bench' -l store -r -f -a 'nt clwb' -d 'Non-temporal stores, or stores with clwb'
complete -c arbiter -n '__arbiter_has_verb bench' -l access -r -f -d 'Size of each access'
complete -c arbiter -n '__arbiter_has_verb bench' -l fence-every -r -f -d 'Bytes between two store fences'
complete -c arbiter -n '__arbiter_has_verb bench' -l scheme -r -f -a '(__fish_append , baseline lock delegation fence arbiter arbiter-paper)' -d 'How writers are admitted; each is a run'
complete -c arbiter -n '__arbiter_has_verb bench' -l delay -r -f -d 'Fixed delay before accesses; goes with the scheme baseline'
complete -c arbiter -n '__arbiter_has_verb bench' -l delay-at -r -f -a 'access block' -d 'Where the fixed delay falls due'
complete -c arbiter -n '__arbiter_has_verb bench' -l period -r -f -d 'How often a controller looks at the counters'
complete -c arbiter -n '__arbiter_has_verb bench' -l max-delay -r -f -d 'Longest delay of any access'
complete -c arbiter -n '__arbiter_has_verb bench' -l duration -r -f -d 'Real time of each run'
complete -c arbiter -n '__arbiter_has_verb bench' -l verify -d 'Read back what was written and compare'
complete -c arbiter -n '__arbiter_has_verb bench' -l seed -r -f -d 'Source of random addresses'
complete -c arbiter -n '__arbiter_has_verb bench' -l format -r -f -a 'text json csv' -d 'Form of the results: a table, JSON or CSV'
complete -c arbiter -n '__arbiter_has_verb bench' -s o -l output -r -F -d 'File for the results instead of standard output; replaced when they are complete'
complete -c arbiter -n '__arbiter_has_verb bench' -l color -r -f -a 'auto always never' -d 'Whether text is coloured; NO_COLOR is respected'
complete -c arbiter -n '__arbiter_has_verb bench' -s q -l quiet -d 'No progress and no remarks on standard error'
complete -c arbiter -n '__arbiter_has_verb bench' -s h -l help -d 'Print help'

complete -c arbiter -n '__arbiter_has_verb doctor' -l format -r -f -a 'text json' -d 'Text or JSON'
complete -c arbiter -n '__arbiter_has_verb doctor' -l color -r -f -a 'auto always never' -d 'Whether text is coloured; NO_COLOR is respected'
complete -c arbiter -n '__arbiter_has_verb doctor' -s h -l help -d 'Print help'

complete -c arbiter -n '__arbiter_has_verb explain' -s h -l help -d 'Print help'
complete -c arbiter -n '__arbiter_has_verb explain' -f -a 'scheme threads modules profile pattern access_bytes program_write_bytes effective_bandwidth_bytes_per_second media_write_bytes_per_second media_read_bytes_per_second imc_read_bytes_per_second equivalent_write_bytes_per_second write_amplification_ratio read_amplification_ratio cache_amplification_ratio latency_ns_p50 latency_ns_p99 latency_ns_p999 latency_ns_max delay_ns_mean cpu_seconds_per_gib fairness_ratio requests_count simulated_seconds counter_source optane-100-256g optane-100-256g-perma optane-100-128g'

complete -c arbiter -n '__arbiter_has_verb completions' -s h -l help -d 'Print help'
complete -c arbiter -n '__arbiter_has_verb completions' -f -a 'bash zsh fish'

complete -c arbiter -n '__arbiter_has_verb version' -s h -l help -d 'Print help'
