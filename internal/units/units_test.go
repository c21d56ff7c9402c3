package units

import (
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Microsecond: "1 us", 1500 * time.Nanosecond: "1.5 us", 999_600 * time.Nanosecond: "1 ms", 20 * time.Millisecond: "20 ms",
		123_456 * time.Microsecond: "123 ms", 999_700 * time.Microsecond: "1 s", 59 * time.Second: "59 s", 125 * time.Second: "2m5s",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%d) = %q, want %q", d, got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1 kB", 999_600: "1 MB", 3_210_000: "3.21 MB", 5e18: "5 EB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestTimes(t *testing.T) {
	for x, want := range map[float64]string{0: "0.00x", 1: "1.00x", 1.994: "1.99x", 1.996: "2.0x", 28.44: "28.4x", 99.94: "99.9x", 99.96: "100x", 256: "256x"} {
		if got := Times(x); got != want {
			t.Errorf("Times(%v) = %q, want %q", x, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for x, want := range map[float64]string{
		-1: "0", 0: "0", 0.0123456: "0.0123", 0.25: "0.25", 16.14: "16.1", 288.06: "288", 3210: "3,210",
		3_213_000: "3.21 million", 5e9: "5 billion",
	} {
		if got := Number(x); got != want {
			t.Errorf("Number(%v) = %q, want %q", x, got, want)
		}
	}
}
