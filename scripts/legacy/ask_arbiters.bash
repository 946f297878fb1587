#!/bin/bash
# An old script in bash: it reads the printed JSON with regular expressions, logs in to the arbiters all at once and
# prints a verdict. The host keys of the arbiters lie in known_hosts beside this file.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
total=0 reached=0 managed=0 role='' peer=''
look() { # HOST PORT USER KEY
    ssh -n -i "$4" -p "$2" -o BatchMode=yes -o ConnectTimeout=3 -o UserKnownHostsFile="$here/known_hosts" \
        "$3@$1" "ss -Htn 'sport = :22'" >"$work/$1.part" && mv "$work/$1.part" "$work/$1.seen"
}
while read -r line; do
    [[ $line =~ ^\"([A-Za-z]+)\":\ \"?([^\"]*[^\",])\"?,?$ ]] || continue
    case ${BASH_REMATCH[1]} in
        role) role=${BASH_REMATCH[2]} ;;
        peerVip) peer=${peer:-${BASH_REMATCH[2]}} ;;
        host) host=${BASH_REMATCH[2]} ;;
        port) port=${BASH_REMATCH[2]} ;;
        username) user=${BASH_REMATCH[2]} ;;
        privateKey)
            printf '%b\n' "${BASH_REMATCH[2]}" >"$work/$host.key" && chmod 600 "$work/$host.key" ;;
    esac
    # An arbiter is known when its last key was read.
    [[ ${host:-} && ${port:-} && ${user:-} && -e $work/$host.key ]] || continue
    look "$host" "$port" "$user" "$work/$host.key" & total=$((total + 1)); unset host port user
done < <(jmp-dr api v1 config -include=role,core,watchdog)
wait
for seen in "$work"/*.seen; do
    [[ -e $seen ]] && reached=$((reached + 1)) && grep -qF "$peer" "$seen" && managed=$((managed + 1))
done
action=nothing
[[ $role = active && $reached -eq 0 ]] && action=beStandby
[[ $role = standby && $total -gt 0 && $reached -eq $total && $managed -eq 0 ]] && action=beActive
echo "{\"state\":\"$role\",\"action\":\"$action\",\"description\":\"bash: $reached of $total arbiters reached," \
    "$managed managed\",\"payload\":{\"waitTime\":\"\"}}"
