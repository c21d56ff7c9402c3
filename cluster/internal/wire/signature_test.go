package wire

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/nats-io/nkeys"
	"golang.org/x/mod/sumdb/tlog"

	"concert/executor"
)

// TestSeal_SeveralTasks: if tasks are signed together, each of them must be
// valid without the others. A task with another subject, another trailer or a
// changed byte must be invalid.
func TestSeal_SeveralTasks(t *testing.T) {
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, _ := key.PublicKey()
	signer, err := NewSigner(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2, 3, 4, 5, 7, 8, 13, 63, 64, 65, 130} {
		t.Run(fmt.Sprint(n, " tasks"), func(t *testing.T) {
			tasks := make([]OutgoingTask, n)
			for i := range tasks {
				tasks[i] = OutgoingTask{Envelope{ID: TaskID{public, "s", fmt.Sprint(i)}, Function: "f", Signature: "x", Session: "s", Try: fmt.Sprint(i)}, TaskSubject(fmt.Sprint("c", i%3), public)}
			}
			msgs, err := EncodeTasks(tasks, signer)
			if err != nil {
				t.Fatal(err)
			}
			v := &Verifier{}
			for i, msg := range msgs {
				got, err := v.Open(msg, tasks[i].Subject, true)
				if err != nil || got.Try != tasks[i].Try {
					t.Fatalf("%d of %d: %+v, %v", i, n, got, err)
				}
			}
			if want := (n + maxBatch - 1) / maxBatch; len(v.verified) != want {
				t.Errorf("%d signatures were verified for %d tasks, want %d", len(v.verified), n, want)
			}
			// The Verifier has the digest of the signature now. The Verifier
			// must still refuse tasks to which the signature does not belong.
			for i, msg := range msgs {
				if _, err := v.Open(msg, TaskSubject("other", public), true); !errors.Is(err, ErrEnvelope) {
					t.Fatalf("task %d of %d, with another subject: error %v, want ErrEnvelope", i, n, err)
				}
				for at := range msg[:len(msg)*min(1, 16/max(n, 1)+(i+1)/n)] { // all bytes of the message if there are few messages, and otherwise only of the last message
					bad := slices.Clone(msg)
					bad[at] ^= 4
					if _, err := v.Open(bad, tasks[i].Subject, true); !errors.Is(err, ErrEnvelope) {
						t.Fatalf("task %d of %d, byte %d was changed: error %v, want ErrEnvelope", i, n, at, err)
					}
				}
				if j := (i + 1) % n; j != i { // with the trailer of another message
					body, _, err := splitTrailer(msg)
					if err != nil {
						t.Fatal(err)
					}
					_, signature, err := splitTrailer(msgs[j])
					if err != nil {
						t.Fatal(err)
					}
					if _, err := v.Open(append(slices.Clone(body), signature...), tasks[i].Subject, true); !errors.Is(err, ErrEnvelope) {
						t.Fatalf("task %d of %d, with the trailer of task %d: error %v, want ErrEnvelope", i, n, j, err)
					}
				}
			}
		})
	}
}

// TestVerifier: after a Verifier has accepted signatures of two keys, it must
// not accept the signature of one key for the other key, or for another
// message. It must keep a limited number of digests.
func TestVerifier(t *testing.T) {
	v := &Verifier{}
	var keys [2]string
	var msgs [2][]byte
	subject := "concert.task.c.x"
	for i := range keys {
		key, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		keys[i], _ = key.PublicKey()
		msgs[i] = seal1(t, Envelope{ID: TaskID{keys[i], "s", "1"}, Session: "s", Try: "1"}, subject, key)
		if _, err := v.Open(msgs[i], subject, true); err != nil {
			t.Fatal(err)
		}
	}
	body, _, _ := splitTrailer(msgs[0])
	_, signature, _ := splitTrailer(msgs[1])
	if err := v.check(keys[0], body, signature, subject); err == nil {
		t.Error("the trailer of another message was accepted")
	}
	own, ownSeal, _ := splitTrailer(msgs[1])
	if err := v.check(keys[0], own, ownSeal, subject); err == nil {
		t.Error("the signature of another key was accepted")
	}
	for i := range 3 * maxVerified {
		v.remember([32]byte{byte(i), byte(i >> 8)})
	}
	if n := len(v.verified) + len(v.old); n > 2*maxVerified {
		t.Errorf("the Verifier keeps %d digests, want at most 2*maxVerified", n)
	}
}

// TestProofLength: for each size of a batch, proofLength must be equal to the
// number of hashes in the proof of package tlog.
func TestProofLength(t *testing.T) {
	for size := 1; size <= maxBatch; size++ {
		var stored []tlog.Hash
		read := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
			var found []tlog.Hash
			for _, n := range at {
				found = append(found, stored[n])
			}
			return found, nil
		})
		for i := range size {
			more, err := tlog.StoredHashes(int64(i), []byte{byte(i)}, read)
			if err != nil {
				t.Fatal(err)
			}
			stored = append(stored, more...)
		}
		for i := range size {
			proof, err := tlog.ProveRecord(int64(size), int64(i), read)
			if err != nil || len(proof) != proofLength(i, size) {
				t.Fatalf("%d of %d: %d hashes, want %d, %v", i, size, proofLength(i, size), len(proof), err)
			}
		}
	}
}

// BenchmarkSeal measures the time to sign a task, and the time to verify it,
// for different numbers of tasks that are signed together.
func BenchmarkSeal(b *testing.B) {
	key, err := nkeys.CreateUser()
	if err != nil {
		b.Fatal(err)
	}
	public, _ := key.PublicKey()
	signer, err := NewSigner(key, nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 8, 64} {
		tasks := make([]OutgoingTask, n)
		for i := range tasks {
			tasks[i] = OutgoingTask{Envelope{ID: TaskID{public, "s", fmt.Sprint(i)}, Function: "f", Signature: "x", Session: "s", Try: fmt.Sprint(i), Arg: Value{Encoded: executor.Encoded{Bytes: make([]byte, 100)}}}, "subject"}
		}
		b.Run(fmt.Sprint("sign/", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := EncodeTasks(tasks, signer); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/task")
		})
		msgs, err := EncodeTasks(tasks, signer)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint("check/", n), func(b *testing.B) {
			for b.Loop() {
				v := &Verifier{}
				for _, m := range msgs {
					if _, err := v.Open(m, "subject", true); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/task")
		})
	}
}
