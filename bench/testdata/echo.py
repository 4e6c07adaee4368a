# One program for each client, behind websocketd.
import sys

for line in sys.stdin:
    sys.stdout.write(line)
    sys.stdout.flush()
