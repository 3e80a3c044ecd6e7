package example;

import java.time.Instant;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/** Sends one capture to Kafka, as a model server in Java would (docs/contracts.md, section 3). */
public final class SendCapture {
    private SendCapture() {}

    public static void main(String[] arguments) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments.length > 0 ? arguments[0] : "localhost:9092");
        settings.put("key.serializer", StringSerializer.class.getName());
        settings.put("value.serializer", StringSerializer.class.getName());
        settings.put("compression.type", "lz4");
        // The model waits for nobody: with a full buffer `send` fails at once, and the capture is lost.
        settings.put("max.block.ms", "0");
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings)) {
            String capture = """
                    {"v":1,"model":"flight-delay","version":"3","id":"7f0c","ts":"%s","latency_us":1234,"status":200,\
                    "features":{"dep_delay":12,"carrier":"UA"},"prediction":{"label":"late","score":0.83}}"""
                    .formatted(Instant.now());
            producer.send(
                    new ProducerRecord<>("flights.captures", "7f0c", capture),
                    (written, error) -> {
                        if (error != null) {
                            System.err.println("a capture did not arrive: " + error);
                        }
                    });
        }
    }
}
