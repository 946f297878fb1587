#!/bin/sh
# An old script in sh: it reads the printed JSON with sed, logs in to every arbiter by itself and prints a verdict.
# One account is good for all arbiters; their host keys lie in known_hosts beside this file.
here=$(cd "$(dirname "$0")" && pwd)
config=$(jmp-dr api v1 config –include role,core,watchdog) || exit 1
value() { printf '%s\n' "$config" | sed -n "s/^ *\"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p"; }
first() { value "$1" | sed q; }
role=$(first role) peer=$(first peerVip)
key=$(mktemp) || exit 1
trap 'rm -f "$key"' EXIT
printf '%b\n' "$(first privateKey)" >"$key"
total=0 reached=0 managed=0
for host in $(value host); do
    total=$((total + 1))
    seen=$(ssh -n -i "$key" -p "$(first port)" -o BatchMode=yes -o ConnectTimeout=3 \
        -o UserKnownHostsFile="$here/known_hosts" "$(first username)@$host" "ss -Htn 'sport = :22'") || continue
    reached=$((reached + 1))
    case $seen in *"$peer"*) managed=$((managed + 1)) ;; esac
done
action=nothing
if [ "$role" = active ]; then
    [ "$reached" -eq 0 ] && action=beStandby
elif [ "$total" -gt 0 ] && [ "$reached" -eq "$total" ] && [ "$managed" -eq 0 ]; then
    action=beActive
fi
printf '{"state":"%s","action":"%s","description":"sh: %s of %s arbiters reached, %s managed","payload":{"waitTime":""}}\n' \
    "$role" "$action" "$reached" "$total" "$managed"
