#!/usr/bin/env bash
# Runs one real Kafka broker: kafka.sh JARS PORT CONTROLLER_PORT FOLDER
#
# KRaft, broker and controller in one process; all it writes is in FOLDER, and started again there it
# goes on with what it had. Properties in FOLDER/more.properties win over those here. It prints its
# process id first, and is ready when it prints "Kafka Server started".
set -euo pipefail

jars=$1
port=$2
controller_port=$3
cd "$4"
echo "id $$"

# Nothing is deleted by age and no timestamp is refused: the tests send event times of any year. A
# transaction that nobody ends is ended within a second of its time.
cat >server.properties <<EOF
process.roles=broker,controller
node.id=1
listeners=BROKER://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller_port
advertised.listeners=BROKER://127.0.0.1:$port
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:$controller_port
log.dirs=$PWD/log
log.retention.ms=-1
log.message.timestamp.after.max.ms=9223372036854775807
log.cleaner.enable=false
num.partitions=1
auto.create.topics.enable=true
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
EOF
standalone=--standalone
heap=512m
if [ -e more.properties ]; then
    cat more.properties >>server.properties
    # Its own test alone speaks to it.
    heap=256m
    ! grep -q '^controller.quorum.voters=' more.properties || standalone=
fi

java=(
    java -Xshare:auto -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$jars/*"
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn
    -Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info
)
[ -e log/meta.properties ] || "${java[@]}" -Xmx128m kafka.tools.StorageTool format $standalone \
    --cluster-id driftline-test-cluster --config server.properties >format.log 2>&1 ||
    { cat format.log; exit 1; }
exec "${java[@]}" "-Xmx$heap" kafka.Kafka server.properties
