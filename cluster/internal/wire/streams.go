package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Limits of the content of the streams.
const (
	MaxTasksPerClient = 4096                   // number of tasks of one client for one capability set
	MaxMessageBytes   = 1 << 20                // size of a message
	MaxInlineBytes    = 256 << 10              // size of an argument or a result in a message
	PartBytes         = 512 << 10              // size of a part of a larger argument or result
	TaskAge           = 30 * 24 * time.Hour    // age of a task that no worker runs
	ResultAge         = 2 * time.Hour          // age of a result that its client has not acknowledged
	KeptAge           = 7 * 24 * time.Hour     // age of a large value, and of a result of a task with an id
	CancelAge         = 25 * time.Hour         // age of a cancellation: longer than any pause between two attempts
	MaxCancels        = 1 << 14                // number of cancellations of a client
	MaxReleases       = 1 << 20                // number of messages in ReleaseStream
	DeadAge           = 30 * 24 * time.Hour    // age of a dead letter
	duplicateWindow   = 100 * time.Millisecond // time for which servers store the ids of messages, of up to 64 KiB each, to find duplicates; NATS permits no shorter time
	MaxDeadLetters    = 1000                   // number of dead letters of a client for one capability set, by workers of one owner
	HeartbeatPeriod   = 3 * time.Second        // time between two heartbeats of a worker
	WorkerTimeout     = 10 * time.Second       // a worker without a heartbeat for this time counts as lost
	deadLetterBytes   = 4 << 10                // size of a dead letter in addition to its task
	Lease             = 30 * time.Second       // time after which an unfinished task goes to another worker, unless its worker renews the lease
	CancelReaderIdle  = time.Minute            // time after which the servers delete an idle CancelConsumer: longer than all pauses between two reads
	taskConsumerIdle  = 24 * time.Hour         // time after which the servers delete an idle TaskConsumer
	resultAckWait     = 5 * time.Second        // time after which the servers deliver an unacknowledged result again
)

const (
	MaxCancelBytes = 129                  // size of a cancellation: two tokens and a dot
	cancelBytes    = MaxCancelBytes + 256 // with the headers that the servers add
	releaseBytes   = 256                  // size of a message of ReleaseStream, with headers
)

// Setup creates the streams and buckets of a cluster, or updates their
// configuration, with the given number of replicas. The parameter silence is
// the time after which the bucket of workers removes a heartbeat.
func Setup(ctx context.Context, js jetstream.JetStream, replicas int, silence time.Duration) error {
	for _, c := range []jetstream.StreamConfig{
		{
			Name: TaskStream, Description: "tasks without a result", Subjects: []string{"concert.task.*.*"},
			Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, MaxMsgsPerSubject: MaxTasksPerClient, DiscardNewPerSubject: true,
			MaxMsgSize: MaxMessageBytes - deadLetterBytes, MaxAge: TaskAge,
		},
		{
			Name: ResultStream, Description: "results until their clients take them", Subjects: []string{"concert.result.*.*.*"},
			Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1, DiscardNewPerSubject: true, MaxAge: ResultAge,
		},
		{
			Name: KeptStream, Description: "results of tasks with an id", Subjects: []string{"concert.kept.*.*"},
			Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1, DiscardNewPerSubject: true, MaxAge: KeptAge, AllowDirect: true,
		},
		{
			Name: BlobStream, Description: "arguments and results that are too large for a message, in parts", Subjects: []string{"concert.load.*.*.*", "concert.output.*.*.*.*"},
			MaxMsgsPerSubject: 1, MaxAge: KeptAge, AllowDirect: true, AllowMsgTTL: true,
		},
		{
			Name: CancelStream, Description: "cancellations of tasks", Subjects: []string{CancelPrefix + ".*"},
			MaxMsgsPerSubject: MaxCancels, MaxMsgSize: cancelBytes, MaxAge: CancelAge, AllowDirect: true,
			RePublish: &jetstream.RePublish{Source: CancelPrefix + ".*", Destination: CanceledPrefix + ".{{wildcard(1)}}"},
		},
		{
			Name: DeadStream, Description: "dead letters: abandoned tasks", Subjects: []string{"concert.dead.*.*.*"},
			MaxMsgsPerSubject: MaxDeadLetters, MaxAge: DeadAge,
		},
		{
			Name: ReleaseStream, Description: "how often workers have released a task", Subjects: []string{"concert.yield.*.*.*"},
			MaxMsgsPerSubject: 1, MaxMsgs: MaxReleases, MaxMsgSize: releaseBytes, MaxAge: TaskAge, AllowDirect: true,
		},
	} {
		c.Storage, c.Replicas, c.Duplicates = jetstream.FileStorage, replicas, duplicateWindow
		c.MaxMsgSize = cmp.Or(c.MaxMsgSize, MaxMessageBytes)
		_, err := js.CreateStream(ctx, c)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			_, err = js.UpdateStream(ctx, c)
		}
		if err != nil {
			return fmt.Errorf("stream %s: %w", c.Name, err)
		}
	}
	for _, c := range []jetstream.KeyValueConfig{
		{Bucket: WorkerBucket, Description: "heartbeats of workers", TTL: silence},
		{Bucket: CapabilityBucket, Description: "capability sets: the functions of workers", TTL: 24 * time.Hour},
	} {
		c.Storage, c.Replicas, c.History = jetstream.FileStorage, replicas, 1
		if _, err := js.CreateOrUpdateKeyValue(ctx, c); err != nil {
			return fmt.Errorf("bucket %s: %w", c.Bucket, err)
		}
	}
	return nil
}

// IsSetUp reports whether the streams and buckets exist.
func IsSetUp(ctx context.Context, js jetstream.JetStream) (bool, error) {
	_, err := js.KeyValue(ctx, CapabilityBucket) // Setup creates this bucket last
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
	return cancels.CachedInfo().Config.RePublish != nil, nil // nil in an earlier version, in which streams also had fewer subjects
}

// Replicas returns the number of replicas of TaskStream, or 1 if it does not
// exist.
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

// SessionConsumer returns the configuration of the consumer of ResultStream or
// KeptStream by which a session of a client receives its results. In
// ResultStream, these are the results that are addressed to the session. In
// KeptStream, they are new results of the client's tasks with ids.
func SessionConsumer(stream, client, session string) jetstream.ConsumerConfig {
	c := jetstream.ConsumerConfig{
		Durable:       session, // a consumer that is not durable has no replicas
		FilterSubject: "concert.result." + client + "." + session + ".*",
		AckPolicy:     jetstream.AckExplicitPolicy, AckWait: resultAckWait, MaxAckPending: -1, InactiveThreshold: ResultAge,
	}
	if stream == KeptStream {
		c.FilterSubject, c.DeliverPolicy = "concert.kept."+client+".*", jetstream.DeliverNewPolicy
	}
	return c
}

// TaskConsumer returns the configuration of the consumer of TaskStream by which
// the workers of a capability set receive their tasks. If a worker does not
// renew the lease of a task, the task goes to another worker.
func TaskConsumer(set string, lease time.Duration) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: set, FilterSubject: TaskSubject(set, "*"),
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: lease, MaxDeliver: -1,
		MaxAckPending: -1, MaxWaiting: 1 << 13, InactiveThreshold: taskConsumerIdle,
	}
}

// CancelConsumer returns the configuration of a new consumer of CancelStream.
// One worker reads all cancellations by this consumer.
func CancelConsumer() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Name: NewToken(), AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: CancelReaderIdle,
	}
}
