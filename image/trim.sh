#!/bin/sh
# Takes out of the virtual environment $1 what no strategy can use: it makes up a quarter of it.
set -eu
cd "$1"/lib/python3.13/site-packages
# The test suites, but for those that are imported: numpy.testing needs numpy's.
find . -type d -name tests ! -path './numpy/*' -prune -exec rm -rf {} +
# Descriptions of every Google service, for requests that cannot be made here.
rm -rf googleapiclient/discovery_cache/documents
# Makes `google` a package at every start of Python; it is one without.
rm -f google_generativeai-*-nspkg.pth
# What only a compiler could use.
rm -rf pyarrow/include numpy/_core/include
