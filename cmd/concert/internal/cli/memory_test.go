package cli

import "testing"

func TestMemory_Set(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "512": 512, "512M": 512 << 20, "2g": 2 << 30, "1.5G": 3 << 29, "1KiB": 1024, "1KB": 1024, "1T": 1 << 40} {
		var m Memory
		if err := m.Set(text); err != nil || m.Bytes != want || !m.IsSet {
			t.Errorf("%s is %d, %v; want %d", text, m.Bytes, err, want)
		}
	}
	for _, text := range []string{"", "M", "-1", "x", "1X", "1MM", "NaN", "Inf", "1e30", "1IB", "9999999999G"} {
		var m Memory
		if err := m.Set(text); err == nil || m.IsSet {
			t.Errorf("%q is %d", text, m.Bytes)
		}
	}
}
