package server

import (
	"encoding/base64"
	"log/slog"
	"slices"
	"sync"

	"github.com/nats-io/jwt/v2"
	nats "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// authenticator authenticates the connections of the NATS server, and changes
// the accounts when keys are added or removed: see accounts.go.
//
//	a key is added                        a key is removed
//	1. its account gets the imports       1. Check refuses the key
//	2. Check accepts the key              2. its connections are closed
//	                                      3. its account loses the imports
//
// NATS could do this itself, if it got new options by ReloadOptions. But
// ReloadOptions removes the imports of all accounts before it adds them again.
// In between, messages are lost, and the server panics if a client subscribes.
// ReloadOptions also closes the connections that have not sent their
// credentials yet, and reads these credentials without a lock.
type authenticator struct {
	server      *nats.Server
	own         string          // public key of the server's own connections
	connections map[Role]int64  // maximum number of connections of a key; negative for no limit
	roles       map[string]Role // the roles of the valid keys; used by start, and then by setHolders only

	mu       sync.RWMutex
	accounts map[string]*nats.Account // guarded by mu: the accounts of the valid keys
}

// Check reports whether a connection has a valid key. If so, it gives the
// connection its account. Check implements [nats.Authentication].
func (a *authenticator) Check(c nats.ClientAuthentication) bool {
	opts := c.GetOpts()
	if !isSignature(opts.Nkey, c.GetNonce(), opts.Sig) {
		return false
	}
	// The lock is held until the connection has its account, so that
	// setHolders finds the connection if the key is removed.
	a.mu.RLock()
	defer a.mu.RUnlock()
	account := a.accounts[opts.Nkey]
	if account == nil {
		return false
	}
	user, ok := c.(interface{ RegisterNkeyUser(*nats.NkeyUser) error })
	return ok && user.RegisterNkeyUser(&nats.NkeyUser{Nkey: opts.Nkey, Account: account}) == nil // it fails if the key has too many connections
}

// isSignature reports whether text is the signature of nonce with a key, in
// Base64.
func isSignature(key string, nonce []byte, text string) bool {
	public, err := nkeys.FromPublicKey(key)
	if err != nil || len(nonce) == 0 {
		return false
	}
	signature, err := base64.RawURLEncoding.DecodeString(text)
	return err == nil && public.Verify(nonce, signature) == nil
}

// start sets the NATS server, and finds the accounts of the holders in it. The
// accounts are in the options of the server: see addAccounts.
func (a *authenticator) start(s *nats.Server, holders []Holder) error {
	a.server = s
	common, err := s.LookupAccount(commonAccount)
	accounts := map[string]*nats.Account{a.own: common}
	for _, h := range holders {
		accounts[h.Key] = common
		if h.Role != Admin && err == nil {
			accounts[h.Key], err = s.LookupAccount(h.Key)
		}
	}
	a.roles = rolesOf(holders)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accounts = accounts
	return err
}

// setHolders makes the keys of these holders the only valid ones. If the role
// of a key has changed, the key is removed and then added. Calls must not be
// concurrent.
func (a *authenticator) setHolders(holders []Holder) {
	same := slices.DeleteFunc(slices.Clone(holders), func(h Holder) bool {
		role, valid := a.roles[h.Key]
		return valid && role != h.Role
	})
	if len(same) < len(holders) {
		a.replaceHolders(same)
	}
	a.replaceHolders(holders)
}

// replaceHolders does the same as setHolders, if no role has changed.
func (a *authenticator) replaceHolders(holders []Holder) {
	before := a.accounts
	common := before[a.own]
	accounts := map[string]*nats.Account{a.own: common}
	for _, h := range holders {
		switch {
		case h.Role == Admin:
			accounts[h.Key] = common
		case before[h.Key] != nil:
			accounts[h.Key] = before[h.Key]
		default:
			// Another server of the cluster may have registered the account.
			accounts[h.Key], _ = a.server.LookupOrRegisterAccount(h.Key)
			a.server.UpdateAccountClaims(accounts[h.Key], a.claims(h))
		}
	}
	a.mu.Lock()
	a.accounts = accounts
	a.mu.Unlock()
	for key, account := range before {
		if accounts[key] != nil {
			continue
		}
		a.disconnect(key)
		if account != common {
			a.server.UpdateAccountClaims(account, jwt.NewAccountClaims(key))
		}
	}
	a.roles = rolesOf(holders)
}

// rolesOf returns the roles of holders, by their keys.
func rolesOf(holders []Holder) map[string]Role {
	roles := make(map[string]Role, len(holders))
	for _, h := range holders {
		roles[h.Key] = h.Role
	}
	return roles
}

// disconnect closes the connections of a key.
func (a *authenticator) disconnect(key string) {
	all, err := a.server.Connz(&nats.ConnzOptions{Username: true, User: key, Limit: maxListedConnections})
	if err != nil {
		slog.Error("server: could not close the connections of a removed key", "key", key, "error", err)
		return
	}
	for _, c := range all.Conns {
		a.server.DisconnectClientByID(c.Cid) // an error says that the connection is closed
	}
}
