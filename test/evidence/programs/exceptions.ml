(* Exceptions restore the stack pointer and return to a handler that was pushed. *)
external strike_start : string -> unit = "ml_strike_start"
external strike : unit -> unit = "ml_strike"

exception Found of int

let rec deep n = if n = 0 then raise (Found 7) else 1 + deep (n - 1)

let rec nested n =
  if n = 0 then raise Not_found
  else try nested (n - 1) with Not_found when n mod 3 = 0 -> n

let () =
  strike_start (if Array.length Sys.argv > 1 then Sys.argv.(1) else "harmless");
  let total = ref 0 in
  for i = 1 to 20 do
    (try total := !total + deep i with Found n -> total := !total + n);
    (try total := !total + nested i with Not_found -> incr total);
    (try List.iter (fun x -> if x > 2 then raise Exit) [ 1; 2; 3 ] with Exit -> incr total);
    try total := !total + int_of_string "x" with Failure _ -> incr total
  done;
  (try deep 3 |> ignore with Found _ -> strike ());
  print_int !total
