#!/bin/sh
# As the official image does: a database of the variables' names, in a volume.
set -e
bin=$(echo /usr/lib/postgresql/*/bin)
data=/var/lib/postgresql/data
if [ ! -s $data/PG_VERSION ]; then
    echo "$POSTGRES_PASSWORD" >/tmp/password
    $bin/initdb -D $data -U "$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256
    echo "host all all all scram-sha-256" >>$data/pg_hba.conf
    $bin/pg_ctl -D $data -w -o "-c listen_addresses=" start
    export PGPASSWORD="$POSTGRES_PASSWORD"
    $bin/createdb -h /var/run/postgresql -U "$POSTGRES_USER" "$POSTGRES_DB"
    $bin/pg_ctl -D $data -w stop
fi
exec $bin/postgres -D $data -c "listen_addresses=*"
