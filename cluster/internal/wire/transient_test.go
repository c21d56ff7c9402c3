package wire

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestTransient_Errors(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nats.ErrNoResponders, true},
		{fmt.Errorf("asking: %w", context.DeadlineExceeded), true},
		{fmt.Errorf("asking: %w", ErrTransient), true},
		{&jetstream.APIError{Code: 503, ErrorCode: 10008, Description: "temporarily unavailable"}, true},
		{&jetstream.APIError{Code: 503, ErrorCode: 10039, Description: "not enabled for account"}, false},
		{&jetstream.APIError{Code: 429, ErrorCode: 10167, Description: "too many requests"}, true},
		{&jetstream.APIError{Code: 400, ErrorCode: 10012, Description: "wrong"}, false},
		{errors.New("something else"), false},
		{context.Canceled, false},
	} {
		t.Run(c.err.Error(), func(t *testing.T) {
			if got := Transient(c.err); got != c.want {
				t.Errorf("Transient(%v) = %v", c.err, got)
			}
		})
	}
}
