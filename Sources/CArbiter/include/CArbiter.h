/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CARBITER_H
#define CARBITER_H
#endif
