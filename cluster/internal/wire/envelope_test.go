package wire

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"concert/executor"
)

// TestEnvelope: Open must return the task that was encoded. If the message was
// changed, is for another subject, or is signed by another key, Open must
// return an error.
func TestEnvelope(t *testing.T) {
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, _ := key.PublicKey()
	other, _ := nkeys.CreateUser()
	stranger, _ := other.PublicKey()
	e := Envelope{
		ID: TaskID{public, "session", "1a"}, Function: "f", Signature: "s", Deadline: 12345, Session: "session", Try: "1",
		Input: 18, Label: "cat.jpg", Trace: "00-1-2-01 a=b", Arg: Value{Encoded: executor.Encoded{Kind: 3, Bytes: []byte("argument")}},
	}
	subject := TaskSubject("contract", public)
	msg := seal1(t, e, subject, key)
	verifier := &Verifier{}
	got, err := verifier.Open(msg, subject, true)
	if err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("Open = %+v, %v; want %+v", got, err, e)
	}
	plain := seal1(t, e, subject, nil)
	if got, err := verifier.Open(plain, subject, false); err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("Open of a message without a signature = %+v, %v; want the task", got, err)
	}
	forged := e
	forged.ID.Client = stranger
	byAnother := seal1(t, forged, subject, key)
	for name, bad := range map[string]struct {
		msg     []byte
		subject string
	}{
		"not signed":                          {plain, subject},
		"for another capability set":          {msg, TaskSubject("another", public)},
		"signed by the key of another client": {byAnother, subject},
		"signature left out":                  {msg[:len(msg)-signatureBytes], subject},
		"cut":                                 {msg[:len(msg)-1], subject},
		"empty":                               {nil, subject},
		"of an unknown version":               {append([]byte{2}, msg[1:]...), subject},
		"with unknown flags":                  {append([]byte{1, 3}, msg[2:]...), subject},
		"signed and nothing else":             {append([]byte{1, 1}, make([]byte, signatureBytes-1)...), subject},
		"batch of 0 messages":                 {append(append([]byte{}, msg[:len(msg)-2]...), 0, 0), subject},
		"index 1 of 1 message":                {append(append([]byte{}, msg[:len(msg)-2]...), 1, 1), subject},
		"batch of 65 messages":                {append(append([]byte{}, msg[:len(msg)-2]...), 65, 0), subject},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := verifier.Open(bad.msg, bad.subject, true); !errors.Is(err, ErrEnvelope) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		})
	}
	for i := range msg { // Open must detect any change
		bad := append([]byte(nil), msg...)
		bad[i] ^= 1
		if _, err := verifier.Open(bad, subject, true); !errors.Is(err, ErrEnvelope) {
			t.Errorf("byte %d was changed: error %v, want ErrEnvelope", i, err)
		}
	}
	for _, id := range []TaskID{{"a.b", "s", "1"}, {"a", "*", "1"}, {"a", "s", ">"}, {"", "s", "1"}, {"a", "s", ""}, {"a b", "s", "1"}} {
		bad := Envelope{ID: id, Session: "s", Try: "1"}
		msg := seal1(t, bad, subject, nil)
		if _, err := verifier.Open(msg, subject, false); !errors.Is(err, ErrEnvelope) {
			t.Errorf("the id %+v: %v", id, err)
		}
	}
}

// TestEnvelope_Label: if a label is too long, the client and the worker must
// cut it between two characters. A task without a label must have no field for
// a label, as in earlier versions.
func TestEnvelope_Label(t *testing.T) {
	const subject = "concert.task.c.anyone"
	e := Envelope{ID: TaskID{"anyone", "session", "1"}, Function: "f", Session: "session", Try: "1", Input: 5}
	for _, c := range []struct{ name, label, want string }{
		{"none", "", ""},
		{"short", "cat\x1b.jpg", "cat\x1b.jpg"},
		{"longest", strings.Repeat("x", 256), strings.Repeat("x", 256)},
		{"too long", strings.Repeat("x", 257), strings.Repeat("x", 253) + "…"},
		{"of long characters", strings.Repeat("é", 200), strings.Repeat("é", 126) + "…"},
		{"of the longest characters", strings.Repeat("\U0001f600", 100), strings.Repeat("\U0001f600", 63) + "…"},
		{"no UTF-8", strings.Repeat("\x80", 300), strings.Repeat("\x80", 249) + "…"},
		{"huge", strings.Repeat("ab ", 1<<20), strings.Repeat("ab ", 84) + "a…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e.Label = c.label
			got, err := new(Verifier).Open(seal1(t, e, subject, nil), subject, false)
			if err != nil || got.Label != c.want || got.Input != 5 {
				t.Errorf("%d, %q, %v; want input 5, %q", got.Input, got.Label, err, c.want)
			}
		})
	}
	msg := seal1(t, Envelope{ID: e.ID, Function: "f", Session: "session", Try: "1"}, subject, nil)
	long := message{encoded: msg}
	long.text(13, new(strings.Repeat("x", 1000))) // as from a client that does not cut labels
	number(&long, 12, new(-7))
	if got, err := new(Verifier).Open(long.encoded, subject, false); err != nil || len(got.Label) != MaxLabelBytes || got.Input != 0 {
		t.Errorf("a label of 1000 bytes and a negative index: %d bytes, input %d, %v", len(got.Label), got.Input, err)
	}
	var m message
	if err := m.parse(msg[2:]); err != nil || m.found[12].present || m.found[13].present {
		t.Errorf("a task without a label: %v, field 12: %t, field 13: %t", err, m.found[12].present, m.found[13].present)
	}
}

// TestEnvelope_Trace: a worker must ignore a text for distributed tracing
// that is too long. A task without such a text must have no field for it, as
// in earlier versions.
func TestEnvelope_Trace(t *testing.T) {
	const subject = "concert.task.c.anyone"
	for size, kept := range map[int]bool{0: true, 55: true, executor.MaxTrace: true, executor.MaxTrace + 1: false} {
		e := Envelope{ID: TaskID{"anyone", "session", "1"}, Function: "f", Session: "session", Try: "1", Trace: strings.Repeat("x", size)}
		msg := seal1(t, e, subject, nil)
		got, err := new(Verifier).Open(msg, subject, false)
		if err != nil || (got.Trace == e.Trace) != kept || !kept && got.Trace != "" {
			t.Errorf("a text of %d bytes became one of %d bytes, %v", size, len(got.Trace), err)
		}
		var m message
		if err := m.parse(msg[2:]); err != nil || m.found[14].present != (size > 0) {
			t.Errorf("a text of %d bytes: %v, field 14: %t", size, err, m.found[14].present)
		}
	}
}

func FuzzOpen(f *testing.F) {
	e := Envelope{ID: TaskID{"anyone", "session", "1"}, Function: "f", Signature: "s", Session: "session", Try: "1", Input: 1, Label: "one", Trace: "00-1-2-01", Arg: Value{Encoded: executor.Encoded{Kind: 1, Bytes: []byte("x")}}}
	f.Add(seal1(f, e, "concert.task.c.anyone", nil))
	f.Add([]byte{1, 1})
	key, err := nkeys.FromRawSeed(nkeys.PrefixByteUser, make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	e.ID.Client, _ = key.PublicKey()
	signer, err := NewSigner(key, nil)
	if err != nil {
		f.Fatal(err)
	}
	signed, err := EncodeTasks([]OutgoingTask{{e, "concert.task.c.anyone"}, {e, "concert.task.c.anyone"}, {e, "concert.task.c.anyone"}}, signer)
	if err != nil {
		f.Fatal(err)
	}
	for _, msg := range signed {
		f.Add(msg)
	}
	verifier := &Verifier{}
	f.Fuzz(func(t *testing.T, msg []byte) {
		e, err := verifier.Open(msg, "concert.task.c.anyone", false)
		if err != nil {
			return
		}
		e.Arg.Bytes, e.Arg.Sum = orNil(e.Arg.Bytes), orNil(e.Arg.Sum)
		again := seal1(t, e, "concert.task.c.anyone", nil)
		if back, err := verifier.Open(again, "concert.task.c.anyone", true); err == nil {
			t.Fatalf("%+v is not signed", back)
		}
		if back, err := verifier.Open(again, "concert.task.c.anyone", false); err != nil || !reflect.DeepEqual(back, e) {
			t.Fatalf("%+v became %+v, %v", e, back, err)
		}
	})
}

// seal1 encodes one task, and signs it. Without a key, the task has no
// signature.
func seal1(t testing.TB, e Envelope, subject string, key nkeys.KeyPair) []byte {
	t.Helper()
	var signer *Signer
	if key != nil {
		var err error
		if signer, err = NewSigner(key, nil); err != nil {
			t.Fatal(err)
		}
	}
	msgs, err := EncodeTasks([]OutgoingTask{{e, subject}}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return msgs[0]
}
