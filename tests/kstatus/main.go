// Says what kstatus, the library behind Flux and `kpt live`, makes of objects: a JSON array in, one status a line out.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func main() {
	var objects []unstructured.Unstructured
	if err := json.NewDecoder(os.Stdin).Decode(&objects); err != nil {
		log.Fatal(err)
	}
	for index := range objects {
		result, err := status.Compute(&objects[index])
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(result.Status)
	}
}
