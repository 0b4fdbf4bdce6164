/** In which pools an image can run: as many nodes as run what it starts. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Progress, Skeleton, Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { Image } from "~/api/__generated__";
import { imagesPlacesOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { Dialog } from "~/ui/Dialog";

export function ImagePlaces({ image, onClose }: { image: Image; onClose: () => void }) {
  const { t } = useLingui();
  const places = useQuery(imagesPlacesOptions({ path: { id: image.id } }));
  return (
    <Dialog isOpen onClose={onClose} title={`${t`Where it runs`}: ${image.name}`}>
      {places.error && <ProblemAlert error={places.error} />}
      {places.isPending && <Skeleton height={120} />}
      {places.data && (
        <Stack gap="sm">
          <Table>
            <Table.Thead><Table.Tr><Table.Th><Trans>Pool</Trans></Table.Th><Table.Th><Trans>Nodes that run it</Trans></Table.Th></Table.Tr></Table.Thead>
            <Table.Tbody>
              {places.data.map((place) => (
                <Table.Tr key={place.pool}>
                  <Table.Td>{place.pool_name}</Table.Td>
                  <Table.Td>
                    <Text size="sm"><Trans>{place.nodes} of {place.of_nodes}</Trans></Text>
                    <Progress value={place.of_nodes ? (100 * place.nodes) / place.of_nodes : 0} aria-hidden />
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
          <Text size="xs" c="dimmed"><Trans>Containers run on Kubernetes and Docker, disks on KVM hosts, server images on bare servers; simulated sites run anything.</Trans></Text>
        </Stack>
      )}
    </Dialog>
  );
}
