// Part of Arbiter. See LICENSE.
