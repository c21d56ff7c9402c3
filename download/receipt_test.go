package download

import (
	"net/url"
	"testing"
	"time"
)

func TestReceipt_DecodesWhatItEncodes(t *testing.T) {
	u := &url.URL{Scheme: "https", Host: "example.com", Path: "/a.iso", RawQuery: "signature=1"}
	written := time.Date(2026, 3, 1, 10, 0, 0, 123456789, time.UTC)
	for name, r := range map[string]receipt{
		"both validators":       {ETag: `"6553f100-40000000"`, Modified: written.Truncate(time.Second), Size: 1 << 30, Time: written.Truncate(time.Second).UnixNano()},
		"no date":               {ETag: `"a"`, Size: 5, Time: written.UnixNano()},
		"neither":               {Size: 0, Time: written.UnixNano()},
		"1970":                  {Modified: time.Unix(0, 0).UTC(), Size: 1, Time: 0},
		"another date of file":  {Modified: time.Unix(1, 0).UTC(), Size: 1, Time: written.UnixNano()},
		"date of the year 9999": {Modified: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), Size: 1, Time: written.UnixNano()},
	} {
		t.Run(name, func(t *testing.T) {
			r.URL, r.Path = urlHash(u), pathHash(u)
			b := r.encode()
			got := decodeReceipt(b)
			if got == nil || *got != r || got.Modified.IsZero() != r.Modified.IsZero() {
				t.Errorf("decodeReceipt() = %+v, want %+v", got, r)
			}
			for n := range len(b) - len(r.ETag) {
				if got := decodeReceipt(b[:n]); got != nil {
					t.Errorf("decodeReceipt() of the first %d bytes = %+v, want nil", n, got)
				}
			}
			if name == "both validators" && len(b) > 56 {
				t.Errorf("the receipt has %d bytes, and is not stored in the inode", len(b))
			}
		})
	}
	if r := decodeReceipt([]byte(`{"url":"0123456789abcdef","path":"01234567"}`)); r != nil {
		t.Errorf("decodeReceipt() of JSON = %+v, want nil", r)
	}
}
