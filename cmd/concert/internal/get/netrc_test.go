package get

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseNetrc(t *testing.T) {
	for name, row := range map[string]struct{ text, want string }{
		"one line":        {"machine h login u password p", "map[h:{u p}]"},
		"several lines":   {"machine H\n\tlogin u\n\tpassword p\nmachine i password q\r\n", "map[h:{u p} i:{ q}]"},
		"account":         {"machine h account a login u password p", "map[h:{u p}]"},
		"comments":        {"# machine x\nmachine h # c\n login u #c\n password #p", "map[h:{u #p}]"},
		"quotes":          {`machine h login "u v" password "p\"\\ q"`, `map[h:{u v p"\ q}]`},
		"macro":           {"machine h login u password p\nmacdef init\nmachine x login y\n\nmachine i login v", "map[h:{u p} i:{v }]"},
		"default":         {"default login d password d\nmachine h login u password p", "map[h:{u p}]"},
		"default is last": {"machine h login u password p\ndefault login d password d", "map[h:{u p}]"},
		"first one wins":  {"machine h login u machine h login v", "map[h:{u }]"},
		"empty":           {"", "map[]"},
		"no value":        {"machine h\nlogin", "2: the word login has no value"},
		"no host":         {"machine", "1: the word machine has no value"},
		"unknown word":    {"machine h secret p", "1: want one of the words"},
		"unclosed quote":  {"machine h\npassword \"secret", "2: a quote is not closed"},
		"spaces in value": {"machine h password my secret", "1: want one of the words"},
	} {
		t.Run(name, func(t *testing.T) {
			machines, err := parseNetrc(row.text)
			got := fmt.Sprint(machines)
			if err != nil {
				got = err.Error()
			}
			if !strings.HasPrefix(got, row.want) || strings.Contains(got, "secret") {
				t.Errorf("parseNetrc(%q) = %s, want %s", row.text, got, row.want)
			}
		})
	}
}

func FuzzParseNetrc(f *testing.F) {
	f.Add("machine h login u password p\nmacdef init\nx\n\ndefault login \"a b\"")
	f.Fuzz(func(t *testing.T, s string) {
		machines, err := parseNetrc(s)
		if err != nil {
			return
		}
		for name := range machines {
			if name == "" {
				t.Errorf("parseNetrc(%q) has an entry without a host", s)
			}
		}
	})
}

// TestCredentials_OnlyTheirHost: a password must not go to another host or
// port.
func TestCredentials_OnlyTheirHost(t *testing.T) {
	t.Setenv("NETRC", "")
	find, err := credentials("u:p:q", []*wanted{{host: "h:81"}, {host: "H:81"}})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{"h:81": true, "H:81": true, "h": false, "h:82": false, "i": false} {
		if user, password, ok := find(host); ok != want || ok && (user != "u" || password != "p:q") {
			t.Errorf("%s: %q, %q, %v", host, user, password, ok)
		}
	}
	if _, err := credentials("u:p", []*wanted{{host: "h:81"}, {host: "h:82"}}); err == nil {
		t.Error("no error for two hosts")
	}
}
