#!/bin/sh
# placeholder until the arbitration rules arrive
exit 3
