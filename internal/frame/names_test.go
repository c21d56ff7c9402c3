package frame_test

import (
	"testing"

	"concert/internal/frame"
)

// TestSetWireName: a Call must contain the name that SetWireName has set. If
// another name is set for the same function, SetWireName must panic.
func TestSetWireName(t *testing.T) {
	frame.SetWireName("frame_test.short", "frame_test.short with its text")
	frame.SetWireName("frame_test.short", "frame_test.short with its text")
	for name, want := range map[string]string{"frame_test.short": "frame_test.short with its text", "frame_test.other": "frame_test.other"} {
		b := frame.EndCall(frame.AppendCall(nil, frame.CallHead{Name: name}), 0, 0)
		c, _, err := frame.ParseCall(b[5:], "")
		if err != nil || string(c.Name) != want {
			t.Errorf("the Call of %s has the name %q, %v; want %q", name, c.Name, err, want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a second name does not panic")
		}
	}()
	frame.SetWireName("frame_test.short", "another")
}
