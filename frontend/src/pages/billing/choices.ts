/** What forms of billing choose from. */
import { useQuery } from "@tanstack/react-query";
import { flavorsListOptions, priceBooksListOptions, sitesListOptions, tenantsListOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { useCan } from "~/api/session";

const all = { query: { limit: 200 } };

/** Tenants to choose from, and what those are called that lists name by id alone. */
export function useTenants() {
  const can = useCan();
  const tenants = useQuery({ ...tenantsListOptions(all), enabled: can("tenant.view") }).data?.results ?? [];
  const names = new Map(tenants.map((tenant) => [tenant.id, tenant.name]));
  return { choices: tenants.map(({ id, name }) => ({ value: id, label: name })), nameOf: (id: string) => names.get(id) ?? id.slice(0, 8) };
}

/** Books are for those who set prices; others know only what they are called. */
export function useBooks() {
  const can = useCan();
  const books = useQuery({ ...priceBooksListOptions(all), enabled: can("price.edit") }).data?.results ?? [];
  return { books, choices: books.map(({ slug, name, currency }) => ({ value: slug, label: name.includes(currency) ? name : `${name} (${currency})` })) };
}

export function useFlavors(): string[] {
  return useQuery(flavorsListOptions(all)).data?.results.map((flavor) => flavor.name) ?? [];
}

export function useSites() {
  return useQuery(sitesListOptions(all)).data?.results.map((site) => ({ value: site.slug, label: site.name })) ?? [];
}
