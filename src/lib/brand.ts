declare const brand: unique symbol;

/** A value of type `Base` that only `Name`'s own constructor hands out, so that two kinds of it cannot be mixed up. */
export type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };
