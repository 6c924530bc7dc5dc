"""Reads the JSON list that kubectl prints, writes the metrics of each run: the golden values of the samples."""

import json
import sys

runs = json.load(sys.stdin)["items"]
json.dump({run["metadata"]["name"]: run["status"]["metrics"] for run in runs}, sys.stdout, indent=2, sort_keys=True)
sys.stdout.write("\n")
