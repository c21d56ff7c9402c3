package wire

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Limits of what the streams hold.
const (
	MaxTasksPerClient = 4096                   // tasks of one client for one contract that may wait
	MaxMessageBytes   = 1 << 20                // bytes of a message
	MaxInlineBytes    = 256 << 10              // of an argument or a result that travels in one
	PartBytes         = 512 << 10              // and of a part of a larger one
	TaskAge           = 30 * 24 * time.Hour    // of a task that nobody runs
	ResultAge         = 2 * time.Hour          // of a result that nobody takes
	KeptAge           = 7 * 24 * time.Hour     // of a result of a task with an id
	CancelAge         = 25 * time.Hour         // of a cancellation: longer than any pause between two attempts
	MaxCancels        = 1 << 14                // of a client that are remembered
	MaxReleases       = 1 << 20                // of all tasks together, that were given back: the newest
	DeadAge           = 30 * 24 * time.Hour    // of a dead letter
	duplicateWindow   = 100 * time.Millisecond // how long servers remember the ids of messages, which may have 64 KiB each; no shorter time is possible
	MaxDeadLetters    = 1000                   // dead letters of a client for one contract, by workers of one owner
	WorkerTimeout     = 10 * time.Second       // after which a worker that says nothing is taken to be gone
	deadLetterBytes   = 4 << 10                // that a dead letter may have beside the task
	Lease             = 30 * time.Second       // how long a worker may say nothing of a task before that goes to another one
	CancelReaderIdle  = time.Minute            // how long the servers keep the consumer of a replay that reads nothing: longer than all pauses between two reads
	taskConsumerIdle  = 24 * time.Hour         // and the consumer of a contract without workers
	resultAckWait     = 5 * time.Second        // after which a result that was on its way to a client comes again
)

const (
	MaxCancelBytes = 129                  // bytes of a cancellation: two tokens and a dot
	cancelBytes    = MaxCancelBytes + 256 // with the headers that come with it
	releaseBytes   = 256                  // likewise
)

// Setup makes the streams that a cluster consists of, or changes them to be as
// they should, with so many replicas each. Workers that have said nothing for
// the time silence are forgotten.
func Setup(ctx context.Context, js jetstream.JetStream, replicas int, silence time.Duration) error {
	for _, c := range []jetstream.StreamConfig{
		{
			Name: TaskStream, Description: "tasks that wait for a worker", Subjects: []string{"concert.task.*.*"},
			Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, MaxMsgsPerSubject: MaxTasksPerClient, DiscardNewPerSubject: true,
			MaxMsgSize: MaxMessageBytes - deadLetterBytes, MaxAge: TaskAge,
		},
		{
			Name: ResultStream, Description: "results until they are taken", Subjects: []string{"concert.result.*.*.*"},
			Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1, DiscardNewPerSubject: true, MaxAge: ResultAge,
		},
		{
			Name: KeptStream, Description: "results of tasks with an id", Subjects: []string{"concert.kept.*.*"},
			Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1, DiscardNewPerSubject: true, MaxAge: KeptAge, AllowDirect: true,
		},
		{
			Name: BlobStream, Description: "what is too large for a message", Subjects: []string{"concert.load.*.*.*", "concert.output.*.*.*.*"},
			MaxMsgsPerSubject: 1, MaxAge: KeptAge, AllowDirect: true, AllowMsgTTL: true,
		},
		{
			Name: CancelStream, Description: "tasks that are not wanted any more", Subjects: []string{CancelPrefix + ".*"},
			MaxMsgsPerSubject: MaxCancels, MaxMsgSize: cancelBytes, MaxAge: CancelAge, AllowDirect: true,
			RePublish: &jetstream.RePublish{Source: CancelPrefix + ".*", Destination: CanceledPrefix + ".{{wildcard(1)}}"},
		},
		{
			Name: DeadStream, Description: "tasks that were given up", Subjects: []string{"concert.dead.*.*.*"},
			MaxMsgsPerSubject: MaxDeadLetters, MaxAge: DeadAge,
		},
		{
			Name: ReleaseStream, Description: "how often tasks were given back", Subjects: []string{"concert.yield.*.*.*"},
			MaxMsgsPerSubject: 1, MaxMsgs: MaxReleases, MaxMsgSize: releaseBytes, MaxAge: TaskAge, AllowDirect: true,
		},
	} {
		c.Storage, c.Replicas, c.Duplicates = jetstream.FileStorage, replicas, duplicateWindow
		if c.MaxMsgSize == 0 {
			c.MaxMsgSize = MaxMessageBytes
		}
		_, err := js.CreateStream(ctx, c)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			_, err = js.UpdateStream(ctx, c)
		}
		if err != nil {
			return fmt.Errorf("stream %s: %w", c.Name, err)
		}
	}
	for _, c := range []jetstream.KeyValueConfig{
		{Bucket: WorkerBucket, Description: "workers, and how they get on", TTL: silence},
		{Bucket: CapabilityBucket, Description: "which functions a contract has", TTL: 24 * time.Hour},
	} {
		c.Storage, c.Replicas, c.History = jetstream.FileStorage, replicas, 1
		if _, err := js.CreateOrUpdateKeyValue(ctx, c); err != nil {
			return fmt.Errorf("bucket %s: %w", c.Bucket, err)
		}
	}
	return nil
}

// IsSetUp reports whether all of that is there.
func IsSetUp(ctx context.Context, js jetstream.JetStream) (bool, error) {
	_, err := js.KeyValue(ctx, CapabilityBucket) // which is made last
	var cancels jetstream.Stream
	if err == nil {
		cancels, err = js.Stream(ctx, CancelStream)
	}
	if errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return cancels.CachedInfo().Config.RePublish != nil, nil // which an earlier version had not, nor some of the streams' subjects
}

// Replicas is how many there are of the tasks; 1 if they are not there yet.
func Replicas(ctx context.Context, js jetstream.JetStream) (int, error) {
	tasks, err := js.Stream(ctx, TaskStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 1, nil
	}
	if err != nil {
		return 0, err
	}
	return tasks.CachedInfo().Config.Replicas, nil
}

// SessionConsumer is the consumer, of ResultStream or KeptStream, by which a
// session of a client gets its results: all of those that are addressed to it,
// or those of the client's tasks with ids from now on.
func SessionConsumer(stream, client, session string) jetstream.ConsumerConfig {
	c := jetstream.ConsumerConfig{
		Durable:       session, // or it would be on one server only, whatever the stream is
		FilterSubject: "concert.result." + client + "." + session + ".*",
		AckPolicy:     jetstream.AckExplicitPolicy, AckWait: resultAckWait, MaxAckPending: -1, InactiveThreshold: ResultAge,
	}
	if stream == KeptStream {
		c.FilterSubject, c.DeliverPolicy = "concert.kept."+client+".*", jetstream.DeliverNewPolicy
	}
	return c
}

// TaskConsumer is the consumer of TaskStream by which the workers of a contract
// get their tasks. A task whose worker says nothing of it for the time lease
// goes to another one.
func TaskConsumer(set string, lease time.Duration) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: set, FilterSubject: TaskSubject(set, "*"),
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: lease, MaxDeliver: -1,
		MaxAckPending: -1, MaxWaiting: 1 << 13, InactiveThreshold: taskConsumerIdle,
	}
}

// CancelConsumer is a new consumer of CancelStream, by which one worker reads
// all cancellations.
func CancelConsumer() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Name: NewToken(), AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: CancelReaderIdle,
	}
}
