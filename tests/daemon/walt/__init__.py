# SPDX-License-Identifier: BSD-3-Clause
"""The package of the demo's daemon."""
