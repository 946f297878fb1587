#!/bin/sh
# Device arbitration in plain sh: the rules of the default policy with nothing but POSIX sh and date.
#
# It does not read the JSON on standard input. Sections and evidence come from host calls with --text, one fact a
# line; the verdict leaves as one JSON object. Anything that goes wrong ends with status 1, which is "nothing".

set -u
for_ever='9999-12-31T23:59:59+00:00'

fail() {
    echo "ERROR: $*" >&2
    exit 1
}

# 0.5 -> 5000. A 1 is put before the digits and taken off again, because sh reads 0300 as an octal number.
ten_thousandths() {
    case $1 in
    *.*) fraction=$(printf '%.4s' "${1#*.}0000") ;;
    *) fraction=0000 ;;
    esac
    echo $((${1%%.*} * 10000 + 1$fraction - 10000))
}

# reaches COUNT THRESHOLD: exact at equality. `>=` keeps, `<` moves.
reaches() {
    [ $(($1 * 10000)) -ge $(($2 * total)) ]
}

# 2026-01-01T08:30:00+00:00 -> 20260101083000, which compares as a number.
digits() {
    IFS='-T:'
    set -- ${1%+*}
    echo "$1$2$3$4$5$6"
}

# 30m -> 1800, 8h and 8 -> 28800; 0 means for ever. A hundred years are the most.
seconds() {
    case $1 in
    *h) number=${1%h} minutes=60 ;;
    *m) number=${1%m} minutes=1 ;;
    *) number=$1 minutes=60 ;;
    esac
    while [ "${number#0?}" != "$number" ]; do number=${number#0}; done
    case $number in
    '' | *[!0-9]* | ??????????*) fail "watchdog.failureDetection.waitDuration: $1 is no duration" ;;
    esac
    [ $((number * minutes)) -le $((100 * 366 * 24 * 60)) ] ||
        fail "watchdog.failureDetection.waitDuration: $1 is no duration"
    echo $((number * minutes * 60))
}

# after INSTANT SECONDS; a year of five digits is for ever.
after() {
    day=${1%T*} time=${1#*T}
    start=$(date -u -d "$day ${time%+*}" +%s) || fail "date does not understand $1"
    later=$(date -u -d "@$((start + $2))" +%Y-%m-%dT%H:%M:%S+00:00) || fail "date does not reach $2 s after $1"
    case $later in
    ?????-*) later=$for_ever ;;
    esac
    echo "$later"
}

# verdict ACTION RULE SENTENCE: prints it and ends. A sentence holds no quotes and no backslashes.
verdict() {
    wait_time=
    [ "$1" = wait ] && wait_time=$wait_until
    printf '{"state":"%s","action":"%s","description":"%s","payload":{"waitTime":"%s","details":{"rule":"%s",%s}}}\n' \
        "$role" "$1" "$3" "$wait_time" "$2" "$shares"
    exit 0
}

role= last= situation= now= wait_until= wait_duration=8h failover=5000 adjust_managed=
sections=$(jmp-dr api v1 config --include role,failover,watchdog,states --text) || fail 'no sections'
while read -r key value; do
    case $key in
    role) role=$value ;;
    failover) last=$value ;;
    watchdog.failureDetection.threshold.failover) failover=$(ten_thousandths "$value") ;;
    watchdog.failureDetection.threshold.adjustManaged) adjust_managed=$(ten_thousandths "$value") ;;
    watchdog.failureDetection.waitDuration) wait_duration=$value ;;
    states.heartbeat.service.situation) situation=$value ;;
    states.heartbeat.service.now) now=$value ;;
    states.heartbeat.service.waitTime) wait_until=$value ;;
    esac
done <<END
$sections
END
if [ -z "$adjust_managed" ]; then
    adjust_managed=5000
    [ "$failover" -ge 5000 ] || adjust_managed=$failover
fi

# Pings where pings are weighed, sessions at a standby.
total=0 pinged=0 managed=0 unreachable=0
if [ "$role" != standby ] || [ "$situation" = bothStandby ]; then
    report=$(dr-watchdog arbiters ping --text) || fail 'dr-watchdog arbiters ping did not answer'
    while read -r word _ _ answers _; do
        [ "$word" = arbiter ] || continue
        total=$((total + 1))
        [ "$answers" = true ] && pinged=$((pinged + 1))
    done <<END
$report
END
fi
if [ "$role" = standby ]; then
    total=0
    report=$(dr-watchdog arbiters sessions --text) || fail 'dr-watchdog arbiters sessions did not answer'
    while read -r word _ _ ssh _ is_managed; do
        [ "$word" = arbiter ] || continue
        total=$((total + 1))
        if [ "$ssh" != ok ]; then
            unreachable=$((unreachable + 1))
        elif [ "$is_managed" = true ]; then
            managed=$((managed + 1))
        fi
    done <<END
$report
END
fi
shares="\"shares\":{\"pinged\":\"$pinged/$total\",\"managed\":\"$managed/$total\",\"unreachable\":\"$unreachable/$total\"}"

# The rules: the first one that applies decides.
if [ "$total" -eq 0 ]; then
    [ "$role" = active ] || role=standby
    shares="\"problem\":\"no arbiters are configured\",$shares"
    verdict nothing noArbiters 'no arbiters are configured, so nothing can be decided: configure arbiters, or change the role by hand'
fi
case $role in
active | standby) ;;
*) fail "this site is ${role:-nothing}, so there is no other site to arbitrate with" ;;
esac
if [ "$role" = standby ] && [ "$situation" != peerLost ]; then
    if [ "$situation" = bothStandby ] && [ "$last" = active_to_standby ] && reaches "$pinged" "$failover"; then
        verdict beActive lastActiveReturns 'both sites are standby, this one was the last active and reaches enough arbiters: it becomes active again'
    fi
    if [ -z "$wait_until" ]; then
        span=$(seconds "$wait_duration") || exit 1
        wait_until=$for_ever
        if [ "$span" -gt 0 ]; then
            wait_until=$(after "$now" "$span") || exit 1
        fi
    fi
    if [ "$(digits "$now")" -lt "$(digits "$wait_until")" ]; then
        verdict wait waitForLastActive 'nobody serves, and the grace period for the last active site is not over: this site waits'
    fi
    shares="\"problem\":\"the grace period is over\",$shares"
    verdict nothing graceIsOver 'nobody serves, and the grace period for the last active site is over: an operator decides which site serves'
fi
if [ "$role" = active ]; then
    if reaches "$pinged" "$failover"; then
        verdict nothing activeReachesArbiters 'the other site is silent and this one reaches enough arbiters: it stays active'
    fi
    verdict beStandby activeIsCutOff 'the other site is silent and this one reaches too few arbiters, so it may be the one that is cut off: it becomes standby'
fi
if reaches "$managed" "$failover"; then
    verdict nothing activeManages 'the other site manages enough arbiters, so it serves: this one stays standby'
fi
if ! reaches $((total - unreachable)) "$adjust_managed"; then
    verdict nothing tooLittleEvidence 'too few arbiters could be logged in to, so this site may be the one that is cut off: it stays standby'
fi
if reaches $((managed + unreachable)) "$failover"; then
    verdict nothing unreachableCountAsManaged 'with the unreachable arbiters presumed managed the other site may still serve: this one stays standby'
fi
verdict beActive activeIsGone 'the other site is silent and manages too few arbiters even if the unreachable ones are presumed managed: this one becomes active'
