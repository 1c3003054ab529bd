import os, sys, pwd, numpy
import markupsafe
print(markupsafe.escape('<'), *sys.version_info[:2], numpy.__version__, os.getuid(), os.path.expanduser("~"), os.getcwd(), os.environ.get("GREETING"), sys.prefix, flush=True)
