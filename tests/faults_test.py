"""Faults from outside and from plugins: each is told, ends as it should, and no record is lost without a word."""

import jv

if __name__ == "__main__":
    jv.main()
