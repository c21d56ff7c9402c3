// Package members keeps a copy of what the servers know of the workers of a
// cluster: which exist, with how many slots, and which functions they offer.
// Clients and inspectors use it. Workers send its Heartbeat.
//
//	worker --heartbeat--> WorkerBucket     --\
//	worker --functions--> CapabilityBucket --+--> View.Watch --> Offers, Slots, Alive, Workers
package members
