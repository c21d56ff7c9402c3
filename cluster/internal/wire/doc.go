// Package wire has the messages between clients, workers and servers, and the
// names and the configuration of the streams that store them. Its files:
//
//	subjects.go              streams, subjects, and the ids in them
//	streams.go               configuration of streams and consumers
//	messages.go              per-task messages: tasks, results, hints (Protocol Buffers)
//	signature.go             signatures of tasks
//	certificate.go           certificates of keys
//	handshake.go, audit.go   rare messages to and from servers, encoded by cbor.go
//	transient.go             errors that a retry can cure
//
// Package wire opens no connections. Package jet opens them.
package wire
