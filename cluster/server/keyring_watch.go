package server

import (
	"fmt"
	"log/slog"
	"os"
	"time"
)

// keyringPollPeriod is the time between two checks of the keyring.
const keyringPollPeriod = 2 * time.Second

// state returns a text that changes when the holders of keys change.
func (k *Keyring) state() (string, error) {
	info, err := os.Stat(k.path(holdersFile))
	if err != nil {
		return "", err
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size()), nil
}

// watchKeyring applies changes of the keyring until the server stops. The
// parameter before is the state of the keyring when the server started.
func (s *Server) watchKeyring(before string) {
	tick := time.NewTicker(keyringPollPeriod)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		now, err := s.options.Keyring.state()
		if err == nil && now == before {
			continue
		}
		var holders []Holder
		if err == nil {
			holders, err = s.options.Keyring.Holders()
		}
		if err == nil {
			err = s.service.setHolders(holders)
		}
		if err != nil {
			slog.Error("server: could not reload the keyring; the previous keys stay valid", "error", err)
			continue
		}
		s.auth.setHolders(holders)
		before = now
	}
}
