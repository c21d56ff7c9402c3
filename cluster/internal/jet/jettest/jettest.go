// Package jettest provides servers for tests.
package jettest

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/server"
)

// NewServer starts a server in this process that has all streams, and stops it
// at the end of the test.
func NewServer(t *testing.T) *server.Server {
	t.Helper()
	s, err := server.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Setup(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	return s
}

// LateStore returns a function that stores messages in a stream without
// delivering them to subscribers. It simulates servers that deliver a message
// before a client subscribes, and store the message after the client has read
// the stream. The function publishes to another stream, from which the stream
// copies the messages with other subjects.
func LateStore(t *testing.T, js jetstream.JetStream, stream, prefix string) (store func(key string, body []byte)) {
	t.Helper()
	const source = "EARLIER"
	early := "earlier." + prefix
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: source, Subjects: []string{early + ".>"}, Storage: jetstream.MemoryStorage})
	if err != nil {
		t.Fatal(err)
	}
	to, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	c := to.CachedInfo().Config
	c.Sources = []*jetstream.StreamSource{{Name: source, SubjectTransforms: []jetstream.SubjectTransformConfig{
		{Source: early + ".>", Destination: prefix + ".>"},
	}}}
	if _, err := js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return func(key string, body []byte) {
		t.Helper()
		if _, err := js.Publish(t.Context(), early+"."+key, body); err != nil {
			t.Fatal(err)
		}
	}
}
