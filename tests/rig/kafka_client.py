"""A second Kafka client beside the one under test: topics, records with all their parts, offsets.

Reads one JSON request on standard input and prints one JSON answer. A request has "bootstrap", "topic",
"do", and what that needs:

    create          "partitions", "settings": {"retention.ms": "1000"}, "replicas": 1
    grow            "partitions": so many from now on
    delete
    delete_records  "partition", "offset": records below it go, as by retention
    offsets         answers [[first, end], ...] by partition
    leaders         answers [[leader, [replica in sync, ...]], ...] by partition
    hang            "records", "timeout_ms": sends them in a transaction that it never ends; the broker does
    commit          "records", "end": "commit" or "abort": sends them in a transaction that ends so
    user            "name", "password": may sign in by SCRAM-SHA-512
    produce         "records": [RECORD, ...] in this order
    consume         "count": wait for so many records, at most "within_s"; null: all up to the present end

A RECORD is {"partition", "timestamp_ms", "key", "value", "headers": [[name, value], ...]} and, when
consumed, "offset"; all but the value may be absent. Bytes are text where they are UTF-8, {"hex": ...}
elsewhere.
"""

import json
import os
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (AdminClient, NewPartitions, NewTopic, ScramCredentialInfo,
                                   ScramMechanism, UserScramCredentialUpsertion)

PATIENCE_S = 60
QUIET = {"log_level": 0}


def to_bytes(value):
    if value is None:
        return None
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value.encode()


def from_bytes(value):
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"hex": value.hex()}


def administer(case, action):
    """Waits for what `action` begins, and keeps the client until then."""
    client = AdminClient({"bootstrap.servers": case["bootstrap"]} | QUIET)
    for future in action(client).values():
        future.result(PATIENCE_S)


def create(case):
    topic = NewTopic(case["topic"], case["partitions"], case.get("replicas", 1),
                     config=case["settings"])
    administer(case, lambda client: client.create_topics([topic]))
    wait_for_partitions(case)


def grow(case):
    wanted = NewPartitions(case["topic"], case["partitions"])
    administer(case, lambda client: client.create_partitions([wanted]))
    wait_for_partitions(case)


def wait_for_partitions(case):
    # The broker answers before every partition can be read: the consumer's view must show them all.
    deadline = time.monotonic() + PATIENCE_S
    reader = consumer(case)
    while len(partitions(reader, case["topic"])) < case["partitions"]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{case['topic']} did not appear")
        time.sleep(0.02)


def delete(case):
    administer(case, lambda client: client.delete_topics([case["topic"]]))


def delete_records(case):
    below = TopicPartition(case["topic"], case["partition"], case["offset"])
    administer(case, lambda client: client.delete_records([below]))


def consumer(case):
    return Consumer({
        "bootstrap.servers": case["bootstrap"],
        "group.id": "tests",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 10,
    } | QUIET)


def partitions(reader, topic):
    metadata = reader.list_topics(topic, PATIENCE_S).topics[topic]
    return [] if metadata.error else sorted(metadata.partitions)


def offsets(case):
    reader, topic = consumer(case), case["topic"]
    return [reader.get_watermark_offsets(TopicPartition(topic, partition), PATIENCE_S)
            for partition in partitions(reader, topic)]


def leaders(case):
    metadata = consumer(case).list_topics(case["topic"], PATIENCE_S).topics[case["topic"]]
    return [[partition.leader, sorted(partition.isrs)]
            for _, partition in sorted(metadata.partitions.items())]


def user(case):
    scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    wanted = UserScramCredentialUpsertion(case["name"], scram, case["password"].encode())
    administer(case, lambda client: client.alter_user_scram_credentials([wanted]))


def hang(case):
    sender = Producer({"bootstrap.servers": case["bootstrap"],
                       "transactional.id": f"hangs.{os.getpid()}",
                       "transaction.timeout.ms": case["timeout_ms"]} | QUIET)
    sender.init_transactions(PATIENCE_S)
    sender.begin_transaction()
    send(sender, case)


def commit(case):
    sender = Producer({"bootstrap.servers": case["bootstrap"],
                       "transactional.id": f"ends.{os.getpid()}"} | QUIET)
    sender.init_transactions(PATIENCE_S)
    sender.begin_transaction()
    send(sender, case)
    if case["end"] == "commit":
        sender.commit_transaction(PATIENCE_S)
    else:
        sender.abort_transaction(PATIENCE_S)


def produce(case):
    send(Producer({"bootstrap.servers": case["bootstrap"], "enable.idempotence": True,
                   "message.max.bytes": 32 << 20, "linger.ms": 5} | QUIET), case)


def send(sender, case):
    failures = []

    def delivered(error, _):
        if error:
            failures.append(str(error))

    for record in case["records"]:
        optional = {name: record[field] for name, field in
                    (("partition", "partition"), ("timestamp", "timestamp_ms")) if field in record}
        headers = [(name, to_bytes(value)) for name, value in record.get("headers", [])]
        while True:
            try:
                sender.produce(case["topic"], to_bytes(record["value"]), to_bytes(record.get("key")),
                               on_delivery=delivered, headers=headers, **optional)
                break
            except BufferError:
                sender.poll(0.1)
        sender.poll(0)
    unsent = sender.flush(PATIENCE_S)
    if unsent or failures:
        raise RuntimeError(f"{unsent} records unsent, {len(failures)} failed: {failures[:3]}")


def consume(case):
    reader, topic, found = consumer(case), case["topic"], []
    bounds = offsets(case)
    positions = [first for first, _ in bounds]
    reader.assign([TopicPartition(topic, *position) for position in enumerate(positions)])
    wanted, deadline = case["count"], time.monotonic() + case["within_s"]

    def complete():
        if wanted is not None:
            return len(found) >= wanted
        return all(position >= end for position, (_, end) in zip(positions, bounds))

    while not complete():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{topic} has {len(found)} records after {case['within_s']} s, not {wanted}")
        for message in reader.consume(1000, 0.1):
            if message.error():
                raise KafkaException(message.error())
            positions[message.partition()] = message.offset() + 1
            found.append({
                "partition": message.partition(),
                "offset": message.offset(),
                "timestamp_ms": message.timestamp()[1],
                "key": from_bytes(message.key()),
                "value": from_bytes(message.value()),
                "headers": [[name, from_bytes(value)] for name, value in message.headers() or []],
            })
    return found


if __name__ == "__main__":
    request = json.load(sys.stdin)
    actions = {"create": create, "grow": grow, "delete": delete, "delete_records": delete_records,
               "offsets": offsets, "leaders": leaders, "hang": hang, "commit": commit, "user": user,
               "produce": produce, "consume": consume}
    json.dump(actions[request["do"]](request), sys.stdout)
    sys.stdout.flush()
    # Without a farewell to the broker: a transaction that was begun stays open.
    os._exit(0)
