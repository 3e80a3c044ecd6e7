#!/usr/bin/env bash
# Runs a server for as long as whoever started it lives: supervise.sh FOLDER COMMAND [ARGUMENT...]
#
# Standard input is the lifeline. When its other end closes, because the test is over or because the
# test process died in any way, the command is killed and FOLDER, which holds all it wrote, is removed.
# The command alone keeps standard output, so its own end shows there as end of file.
set -u

folder=$1
shift
exec 3<&0
cd "$folder" || exit 2
"$@" </dev/null 3<&- 2>&1 &
server=$!
exec >/dev/null 2>&1
# A stopped reader of the lifeline would leave the server behind: end-of-file is all that counts.
while read -r _ <&3; do :; done
kill -KILL "$server"
wait "$server"
cd / && rm -rf "$folder"
