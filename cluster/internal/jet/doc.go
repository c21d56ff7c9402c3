// Package jet connects a client, a worker or an inspector to the servers of a
// cluster, which are NATS servers with JetStream. It transfers messages, and
// does not use their content: calls, slots and attempts of tasks are in
// packages client and worker.
//
//	                    Conn                           servers
//	Publish --------> message + note ---------------->  a stream
//	OnAck, OnNack <-- note <------- acknowledgment ---  |
//	Pull <----------- messages <---------------------   a consumer
//	Watch <---------- changes <----------------------   a stream, or a bucket
//	Upload ---------> parts ------------------------->  BlobStream
//	Download <------- parts <------------------------   |
//
// The files:
//
//	conn.go, keyfile.go  connecting, with or without a key
//	setup.go             streams and consumers, with or without a key
//	publish.go, pull.go  messages to streams and from consumers
//	watch.go             all messages of a stream, and each new message
//	blobs.go             values that are too large for a message
//	retry.go             which errors are transient, and how long to retry
//	sync.go              goroutines and events
//	times.go             periods and timeouts that tests change
//
// Package wire has the formats of the messages.
package jet
