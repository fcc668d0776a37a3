#!/bin/sh
# Waits until a SchemaMigration is Ready for its present spec, and fails as soon as it is Stalled.
# Needs kubectl and nothing else.
set -u

usage() {
    cat <<'TEXT'
usage: wait.sh [-n NAMESPACE] [-t SECONDS] [-f MANIFEST] NAME

Applies MANIFEST, if there is one, then waits for the SchemaMigration NAME; says on standard output
what it waits for and how it ended.

  -n NAMESPACE   where it is; default: kubectl's own
  -t SECONDS     the longest to wait; default 900
  -f MANIFEST    what to apply first; - reads it from standard input

exit  0  Ready: the database is at the target
      1  Stalled: a person has to do something
      2  wrong usage
      3  neither in time
      4  refused by the API server, or there is no such SchemaMigration
TEXT
}

namespace='' seconds=900 manifest=''
while getopts n:t:f:h option; do
    case $option in
        n) namespace=$OPTARG ;;
        t) seconds=$OPTARG ;;
        f) manifest=$OPTARG ;;
        h) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done
shift $((OPTIND - 1))
case $#:$seconds in
    1:*[!0-9]*|1:) usage >&2; exit 2 ;;
    1:*) name=$1 ;;
    *) usage >&2; exit 2 ;;
esac

in_place() {
    kubectl ${namespace:+"--namespace=$namespace"} "$@"
}

if [ -n "$manifest" ]; then
    in_place apply --filename="$manifest" || exit 4
fi

condition() {
    printf '{.status.conditions[?(@.type=="%s")].%s}{"\\n"}' "$1" "$2"
}
fields='{.metadata.generation}{"\n"}{.status.observedGeneration}{"\n"}'
fields=$fields$(condition Ready status)$(condition Stalled status)
fields=$fields$(condition Ready reason)$(condition Ready message)

deadline=$(($(date +%s) + seconds))
said=''
while :; do
    # A server that does not answer for a moment is waited for, too.
    if state=$(in_place get schemamigration "$name" --ignore-not-found --output="jsonpath=$fields"); then
        if [ -z "$state" ]; then
            echo "there is no SchemaMigration $name" >&2
            exit 4
        fi
        {
            read -r generation
            read -r observed
            read -r ready
            read -r stalled
            read -r reason
            message=$(cat)
        } <<TEXT
$state
TEXT
        # What is said of an older spec is no answer.
        if [ "$generation" = "$observed" ]; then
            says="$reason: $message"
        else
            says='no operator has looked at the present spec yet' ready='' stalled=''
        fi
        if [ "$says" != "$said" ]; then
            echo "$says"
            said=$says
        fi
        if [ "$ready" = True ]; then exit 0; fi
        if [ "$stalled" = True ]; then exit 1; fi
    fi
    if [ "$(date +%s)" -ge "$deadline" ]; then
        echo "not Ready within $seconds seconds" >&2
        exit 3
    fi
    sleep 1
done
