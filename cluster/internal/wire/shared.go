package wire

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"concert/executor"
)

// MaxSharedValues is the maximum number of shared values to which an argument
// can refer.
const MaxSharedValues = 256

// maxSharedSize is the maximum size of a shared value in bytes.
const maxSharedSize = 1 << 30

// SharedValue is a shared value to which the argument of a task refers. Its
// parts are in BlobStream. If it has no bytes, Blob is empty.
type SharedValue struct {
	ID    executor.SharedID // 1
	Value                   // 16 to 20, without Bytes
}

// sharedValues encodes or decodes a list of shared values. The field contains
// the messages of the values, and each message is a field with the number 1.
func sharedValues(m *message, n protowire.Number, all *[]SharedValue) {
	switch f := &m.found[n]; {
	case f.present:
		var err error
		if *all, err = parseSharedValues(f.content); err != nil {
			m.failure = err
		}
	case !m.decoding && len(*all) > 0:
		var list []byte
		for _, v := range *all {
			one, id := message{}, v.ID[:]
			one.bytes(1, &id)
			v.Value.fields(&one)
			list = protowire.AppendBytes(protowire.AppendTag(list, 1, protowire.BytesType), one.encoded)
		}
		m.encoded = protowire.AppendBytes(protowire.AppendTag(m.encoded, n, protowire.BytesType), list)
	}
}

func parseSharedValues(list []byte) (all []SharedValue, err error) {
	for len(list) > 0 {
		n, kind, used := protowire.ConsumeTag(list)
		if used < 0 || n != 1 || kind != protowire.BytesType {
			return nil, fmt.Errorf("invalid list of shared values")
		}
		content, length := protowire.ConsumeBytes(list[used:])
		if length < 0 || len(all) == MaxSharedValues {
			return nil, fmt.Errorf("invalid list of shared values, or more than %d", MaxSharedValues)
		}
		list = list[used+length:]
		var one message
		if err := one.parse(content); err != nil {
			return nil, err
		}
		var v SharedValue
		var id []byte
		one.bytes(1, &id)
		v.Value.fields(&one)
		if len(id) != len(v.ID) || len(v.Blob) > maxBlobName || len(v.Bytes) > 0 || v.Size < 0 || v.Size > maxSharedSize || v.Size == 0 != (v.Blob == "") {
			return nil, fmt.Errorf("invalid shared value")
		}
		v.ID = executor.SharedID(id)
		all = append(all, v)
	}
	return all, nil
}
