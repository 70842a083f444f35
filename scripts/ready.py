"""`python -m scripts.ready [URL] [--wait SECONDS]`: does the API answer? For whoever looks after the process.

Needs nothing but Python, so that it works in an image without curl.
"""

import argparse
import sys
import time
import urllib.error
import urllib.request

READY = "http://127.0.0.1:8000/health/ready"
ANSWER_SECONDS = 3
POLL_SECONDS = 0.1


def answer_of(url: str) -> str:
    """Nothing where it answers with 200, else what is wrong."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        direct.open(url, timeout=ANSWER_SECONDS).close()
    except urllib.error.HTTPError as error:
        return f"answers {error.code}"
    except OSError:
        return "does not answer"
    return ""


def main() -> None:
    """Exits with 1 and a sentence where there is no good answer."""
    parser = argparse.ArgumentParser(prog="python -m scripts.ready", description="Does the API answer?")
    parser.add_argument("url", nargs="?", default=READY, help=READY)
    parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="for how long to try again (0)")
    arguments = parser.parse_args()
    until = time.monotonic() + arguments.wait
    while wrong := answer_of(arguments.url):
        if time.monotonic() >= until:
            sys.exit(f"{arguments.url} {wrong}.")
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main()
