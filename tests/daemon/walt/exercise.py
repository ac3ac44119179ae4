# SPDX-License-Identifier: BSD-3-Clause
"""Processes that compute, or wait, for as long as they are let: for measurements."""

import select
import zlib

DATA = bytes(range(256)) * 16


def compute(count_round):
    """Calls count_round() after each round, of about a millisecond."""
    while True:
        one_round()
        count_round()


def one_round():
    total = 0
    for number in range(200):
        total = step(total, number)
    return total


def step(total, number):
    if number % 8 == 0:
        return check(total)
    return (total * 31 + number) & 0xffffffff


def check(total):
    return zlib.crc32(DATA, total)


def wait():
    while True:
        select.select([], [], [], 0.5)
