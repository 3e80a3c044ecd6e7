"""Captures of many models for the topics of a benchmark's broker: made, sent, and deleted again."""

import json
import random

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import end_to_end

# A Monday.
BEGIN_MS, HOUR_MS = 1_767_571_200_000, 3_600_000
PATIENCE_S = 60


class Fleet:
    """`models` models in one topic, with the features of one baseline and times within one hour at a time.
    With `copies` they share that many files, each of which says that it comes from elsewhere."""

    def __init__(self, topic, partitions, models, baseline, copies=1):
        self.topic, self.partitions, self.models = topic, partitions, models
        self.names = end_to_end.features(baseline)
        self.baselines = [baseline, *(copy_of(baseline, number) for number in range(1, copies))]

    def config(self):
        """The list items of all models, for a configuration."""
        return "".join(f"  - {{name: m{number}, captures: {{topic: {self.topic}, start: earliest, "
                       f"max_ahead: 36500d}}, baseline: {self.baselines[number % len(self.baselines)]}}}\n"
                       for number in range(self.models))

    def send(self, bootstrap, rows, hour, run_rows=1, parts=(0, 1)):
        """Sends `rows` rows of each model within the hour, or only `parts[0]` of `parts[1]` equal parts of
        them; `run_rows` at a time come of one model to one partition. Rows sent."""
        texts, sent = feature_texts(self.names, 20_000 if run_rows > 1 else 500), 0
        block, (part, all_parts) = run_rows * self.partitions, parts
        rounds = max(1, rows // block)
        first, last = rounds * part // all_parts, rounds * (part + 1) // all_parts
        begin_ms, step_ms = BEGIN_MS + hour * HOUR_MS, (HOUR_MS - 1) / (rounds * block)
        sender = sender_to(bootstrap)
        for turn in range(first, last):
            for model in range(self.models):
                head = f'{{"v":1,"model":"m{model}","ts":'
                for number in range(block):
                    ts_ms = begin_ms + int((turn * block + number) * step_ms)
                    send(sender, self.topic, f"{head}{ts_ms}{texts[sent % len(texts)]}", ts_ms, number // run_rows)
                    sent += 1
        sender.flush()
        return sent

    def heartbeats(self, bootstrap, hour):
        """Says to every partition that nothing before `hour` comes any more."""
        heartbeats(bootstrap, self.topic, self.partitions, BEGIN_MS + hour * HOUR_MS)


def copy_of(baseline, number):
    """A file of the same values, for which another one cannot stand in."""
    content = json.loads(baseline.read_text())
    content["provenance"]["source"] = f"captures of model {number}"
    copy = baseline.with_name(f"{baseline.stem}-{number}.json")
    copy.write_text(json.dumps(content))
    return copy


def feature_texts(names, count, more=lambda: ""):
    """The rest of a capture after its time, `count` different ones; the features are not the baseline's."""
    numbers = (",".join(f'"{name}":{random.gauss(0, 100):.3f}' for name in names) for _ in range(count))
    return [f',"latency_us":900,"features":{{{text}}}{more()}}}' for text in numbers]


def sender_to(bootstrap):
    return Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, "compression.type": "lz4",
                     "queue.buffering.max.messages": 500_000})


def send(sender, topic, value, ts_ms, partition):
    while True:
        try:
            sender.produce(topic, value, timestamp=ts_ms, partition=partition)
            return
        except BufferError:
            sender.poll(0.2)


def heartbeats(bootstrap, topic, partitions, ts_ms):
    sender = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
    for partition in range(partitions):
        send(sender, topic, f'{{"v":1,"ts":{ts_ms},"heartbeat":true}}', ts_ms, partition)
    sender.flush()


def create(bootstrap, partitions_of):
    """Makes topics, each with its number of partitions."""
    topics = [NewTopic(topic, partitions, 1) for topic, partitions in partitions_of.items()]
    client = AdminClient({"bootstrap.servers": bootstrap})
    for made in client.create_topics(topics).values():
        made.result(PATIENCE_S)


def delete_records(bootstrap, topic, partitions):
    """Lets the broker delete all that the topic holds by now."""
    ends = [TopicPartition(topic, partition, -1) for partition in range(partitions)]
    client = AdminClient({"bootstrap.servers": bootstrap})
    for deleted in client.delete_records(ends).values():
        deleted.result(PATIENCE_S)
