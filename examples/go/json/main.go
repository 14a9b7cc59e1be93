// JSON objects in a store: one key each, changed by read-modify-write.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"mapstore"
)

type user struct {
	Visits int `json:"visits"`
}

func visit(old []byte, present bool) ([]byte, error) {
	var u user
	if present {
		if err := json.Unmarshal(old, &u); err != nil {
			return nil, err
		}
	}
	u.Visits++
	return json.Marshal(u)
}

func main() {
	ctx := context.Background()
	// Text values: `kubectl get configmap users -o yaml` shows them as they are.
	store, err := mapstore.Open(ctx, "users", mapstore.WithTextValues(true))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	for range 2 {
		if _, err := store.Update(ctx, "anna", visit); err != nil {
			log.Fatal(err)
		}
	}
	anna, err := store.Get(ctx, "anna")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("anna: %s\n", anna)
}
