// Sends one capture to Kafka, as a model server in Go would (docs/contracts.md, section 3).
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"time"

	"github.com/segmentio/kafka-go"
)

// Capture is one request with its answer.
type Capture struct {
	V          int            `json:"v"`
	Model      string         `json:"model"`
	Version    string         `json:"version,omitempty"`
	ID         string         `json:"id,omitempty"`
	TS         time.Time      `json:"ts"`
	LatencyUS  int64          `json:"latency_us,omitempty"`
	Status     int            `json:"status,omitempty"`
	Features   map[string]any `json:"features,omitempty"`
	Prediction map[string]any `json:"prediction,omitempty"`
}

func main() {
	bootstrap := "localhost:9092"
	if len(os.Args) > 1 {
		bootstrap = os.Args[1]
	}
	// Async: the model waits for nobody. What does not arrive is logged, and lost.
	writer := &kafka.Writer{
		Addr:     kafka.TCP(bootstrap),
		Topic:    "flights.captures",
		Balancer: &kafka.Hash{},
		Async:    true,
		Completion: func(messages []kafka.Message, err error) {
			if err != nil {
				log.Printf("%d captures did not arrive: %v", len(messages), err)
			}
		},
	}
	value, err := json.Marshal(Capture{
		V: 1, Model: "flight-delay", Version: "3", ID: "7f0c", TS: time.Now().UTC(), LatencyUS: 1234, Status: 200,
		Features:   map[string]any{"dep_delay": 12, "carrier": "UA"},
		Prediction: map[string]any{"label": "late", "score": 0.83},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := writer.WriteMessages(context.Background(), kafka.Message{Key: []byte("7f0c"), Value: value}); err != nil {
		log.Print(err)
	}
	if err := writer.Close(); err != nil {
		log.Fatal(err)
	}
}
