package wire

import (
	"errors"
	"reflect"
	"testing"

	"github.com/nats-io/nkeys"
)

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
		Arg: Value{Kind: 3, Bytes: []byte("argument")},
	}
	subject := TaskSubject("contract", public)
	msg, err := e.Seal(subject, key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Open(msg, subject, true)
	if err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("open() = %+v, %v; want %+v", got, err, e)
	}
	plain, _ := e.Seal(subject, nil)
	if got, err := Open(plain, subject, false); err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("open() of what is not signed = %+v, %v", got, err)
	}
	forged := e
	forged.ID.Client = stranger
	byAnother, _ := forged.Seal(subject, key)
	for name, bad := range map[string]struct {
		msg     []byte
		subject string
	}{
		"not signed":              {plain, subject},
		"for another contract":    {msg, TaskSubject("another", public)},
		"in another one's name":   {byAnother, subject},
		"signature left out":      {msg[:len(msg)-signatureLen], subject},
		"cut":                     {msg[:len(msg)-1], subject},
		"empty":                   {nil, subject},
		"of an unknown version":   {append([]byte{2}, msg[1:]...), subject},
		"with unknown flags":      {append([]byte{1, 3}, msg[2:]...), subject},
		"signed and nothing else": {append([]byte{1, 1}, make([]byte, signatureLen)...), subject},
	} {
		if got, err := Open(bad.msg, bad.subject, true); !errors.Is(err, ErrEnvelope) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for i := range msg { // whatever is changed is noticed
		bad := append([]byte(nil), msg...)
		bad[i] ^= 1
		if _, err := Open(bad, subject, true); !errors.Is(err, ErrEnvelope) {
			t.Errorf("byte %d was changed: %v", i, err)
		}
	}
	for _, id := range []TaskID{{"a.b", "s", "1"}, {"a", "*", "1"}, {"a", "s", ">"}, {"", "s", "1"}, {"a", "s", ""}, {"a b", "s", "1"}} {
		bad := Envelope{ID: id, Session: "s", Try: "1"}
		msg, _ := bad.Seal(subject, nil)
		if _, err := Open(msg, subject, false); !errors.Is(err, ErrEnvelope) {
			t.Errorf("the id %+v: %v", id, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	e := Envelope{ID: TaskID{"anyone", "session", "1"}, Function: "f", Signature: "s", Session: "session", Try: "1", Arg: Value{Kind: 1, Bytes: []byte("x")}}
	msg, _ := e.Seal("concert.task.c.anyone", nil)
	f.Add(msg)
	f.Add([]byte{1, 1})
	f.Fuzz(func(t *testing.T, msg []byte) {
		e, err := Open(msg, "concert.task.c.anyone", false)
		if err != nil {
			return
		}
		e.Arg.Bytes, e.Arg.Sum = orNil(e.Arg.Bytes), orNil(e.Arg.Sum)
		again, err := e.Seal("concert.task.c.anyone", nil)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := Open(again, "concert.task.c.anyone", true); err == nil {
			t.Fatalf("%+v is not signed", back)
		}
		if back, err := Open(again, "concert.task.c.anyone", false); err != nil || !reflect.DeepEqual(back, e) {
			t.Fatalf("%+v became %+v, %v", e, back, err)
		}
	})
}
