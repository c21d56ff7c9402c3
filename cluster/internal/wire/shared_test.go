package wire

import (
	"reflect"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"concert/executor"
)

// TestEnvelope_Shared: the shared values of a task must be the same after
// encoding and decoding. A reader of an earlier version must skip them.
func TestEnvelope_Shared(t *testing.T) {
	want := []SharedValue{
		{ID: executor.SharedID{1, 2}, Value: Value{Encoded: executor.Encoded{Kind: 9}, Blob: "client.name", Size: 1 << 20, Sum: []byte("sum")}},
		{ID: executor.SharedID{15: 3}, Value: Value{Encoded: executor.Encoded{Kind: 12}}},
	}
	e := envelopeWith(want)
	msgs, err := EncodeTasks([]OutgoingTask{{Envelope: e, Subject: "s"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := new(Verifier).Open(msgs[0], "s", false)
	if err != nil || !reflect.DeepEqual(got.Shared, want) {
		t.Errorf("decoded %+v, %v; want %+v", got.Shared, err, want)
	}
}

func envelopeWith(shared []SharedValue) Envelope {
	return Envelope{ID: TaskID{Client: "client", Session: "s", Number: "1"}, Session: "s", Try: "1", Shared: shared}
}

// TestEnvelope_SharedInvalid: a task with an invalid list of shared values must
// be refused.
func TestEnvelope_SharedInvalid(t *testing.T) {
	many := make([]SharedValue, MaxSharedValues+1)
	for name, shared := range map[string][]SharedValue{
		"too many":     many,
		"bytes":        {{Value: Value{Encoded: executor.Encoded{Bytes: []byte("x")}}}},
		"no name":      {{Value: Value{Size: 1}}},
		"no size":      {{Value: Value{Blob: "client.name"}}},
		"too large":    {{Value: Value{Blob: "client.name", Size: maxSharedSize + 1}}},
		"negative":     {{Value: Value{Blob: "client.name", Size: -1}}},
		"a long name":  {{Value: Value{Blob: string(make([]byte, maxBlobName+1)), Size: 1}}},
		"nothing else": nil,
	} {
		t.Run(name, func(t *testing.T) {
			msgs, err := EncodeTasks([]OutgoingTask{{Envelope: envelopeWith(shared), Subject: "s"}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := new(Verifier).Open(msgs[0], "s", false); (err == nil) != (shared == nil) {
				t.Errorf("Open() = %v", err)
			}
		})
	}
	id := func(n int) []byte {
		one := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), make([]byte, n))
		return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), one)
	}
	for _, list := range [][]byte{{0xff}, id(16)[:5], id(15), id(17), append(id(16), 0x12, 0)} {
		if all, err := parseSharedValues(list); err == nil {
			t.Errorf("parseSharedValues(%x) = %v, want an error", list, all)
		}
	}
	if all, err := parseSharedValues(id(16)); len(all) != 1 || err != nil {
		t.Errorf("parseSharedValues() = %v, %v", all, err)
	}
}
