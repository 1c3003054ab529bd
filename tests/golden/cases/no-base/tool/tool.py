import sys

sys.stdout.write("a tool\n")
