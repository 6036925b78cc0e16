"""Top-k accuracy."""

from typing import Dict, List, Optional, Sequence

from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric


@METRICS.register_module()
class TopKAccuracy(BaseMetric):
    """Share in % of the images whose class is among the k highest scores.

    Args:
        topk (Sequence[int]): Values of k; the metrics are named ``top1`` and so on.
        collect_device (str): See mmengine's ``BaseMetric``.
        prefix (str, optional): See mmengine's ``BaseMetric``.
    """

    def __init__(
        self,
        topk: Sequence[int] = (1, 5),
        collect_device: str = 'cpu',
        prefix: Optional[str] = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.topk = tuple(topk)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            scores = sample['pred_scores']
            best = scores.topk(min(max(self.topk), scores.numel())).indices
            hits = (best == sample['gt_label'].to(best.device)).tolist()
            # the rank of the class, or the largest k if it is lower
            self.results.append(hits.index(True) if True in hits else max(self.topk))

    def compute_metrics(self, results: List[int]) -> Dict[str, float]:
        return {f'top{k}': 100 * sum(r < k for r in results) / len(results) for k in self.topk}
