#!/bin/sh
# An echo: what a client says, it alone gets back. An event with "to" is an
# answer, so that is all there is to be added.
#
#     hubbub serve :9000 --json -- examples/echo/echo.sh
exec jq --unbuffered -c 'select(.type == "message") | .to = .id'
